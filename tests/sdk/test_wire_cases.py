"""The contract cases of tests/wire: one request out, and one result from every spelling of its answer."""

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.sdk.scripted import in_turn
from vectorshift.analytics import Query

WIRE = Path(__file__).parents[1] / "wire"
QUERIES = json.loads((WIRE / "queries.json").read_text())
LOOKUPS = json.loads((WIRE / "lookups.json").read_text())
BY_NAME = {case["name"]: case for case in (*QUERIES, *LOOKUPS)}


def ask(case, client):
    """Make the call of a case."""
    if "verb" in case:
        return getattr(client, case["verb"])(**case["arguments"])
    return getattr(Query.from_dict(case["query"], client), case["terminal"])(**case["arguments"])


def text(value):
    """A value as JSON text, which tells 1 from 1.0."""
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_case_of_the_contract(scripted, service, name):
    """The request is exactly that of the case, and every spelling of its answer gives the result, types included."""
    case = BY_NAME[name]
    expected = case["request"]
    for answer in case["answers"]:
        service.script = in_turn(answer)
        result = ask(case, scripted)
        assert text(result) == text(case["result"]), answer
        request = service.requests.pop()
        body = json.loads(request.body) if request.body else None
        assert {"method": request.method, "path": request.path, "body": body} == expected


@pytest.mark.parametrize("name", BY_NAME)
def test_the_emulator_reads_every_request(emulator, name):
    """The emulator, which knows the contract by itself, refuses no request of the cases."""
    request = BY_NAME[name]["request"]
    address = urlsplit(emulator.base_url)
    connection = http.client.HTTPConnection(address.netloc, timeout=20)
    body = None if request["body"] is None else json.dumps(request["body"])
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    connection.request(request["method"], address.path + request["path"], body, headers)
    reply = connection.getresponse()
    output = reply.read()
    connection.close()
    assert reply.status in (200, 404), output  # a lookup of what is not there is understood as well
