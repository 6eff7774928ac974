"""What the SDK asks for, with parts out of place: the emulator answers or refuses, and never breaks.

`TEST_GENERATED_REQUESTS=20000` is what `make reliability` sends.
"""

import http.client
import json
import os
import random
import time
from collections import Counter
from contextlib import suppress
from urllib.parse import quote, urlencode, urlsplit

import pytest

from tests.sdk import fuzzing
from vectorshift import AnalyticsInvalidQuery, Client
from vectorshift._calls import Reply
from vectorshift.analytics import EventField, FieldFilter

REQUESTS = int(os.environ.get("TEST_GENERATED_REQUESTS", "300"))
ODD = ["", "x", "%00", "..", "a/b", "ex_1", "\u2460", "x" * 3000, "'", "NaN", "-1", "2026-01-01"]
CONDITIONS = (
    FieldFilter.eq(EventField.STATUS, "success"),
    FieldFilter.matches(EventField.ERROR_MESSAGE, "out of"),
)


class Recorder:
    """A transport that keeps what it is to send."""

    def __init__(self):
        self.calls = {}

    def send(self, call):
        self.calls[call.path, json.dumps(call.body)] = call
        body = json.dumps(fuzzing.REPLIES[call.template]).encode()
        return Reply(200, body, now=time.monotonic(), wall=time.time())

    def fetch(self, step):
        raise AssertionError(step)

    def close(self):
        """Nothing is open."""


@pytest.fixture(scope="module")
def requests():
    """Each request of each terminal: method, path, query and body as bytes."""
    recorder = Recorder()
    client = Client("sk_x", "https://api.example/v1", retry=fuzzing.PATIENCE)
    client._open_transport = recorder
    for name, arguments, options in fuzzing.TERMINALS:
        if name == "export_and_wait":  # its requests are those of `export` and `export_task`
            continue
        owners = [client]
        if name not in fuzzing.LOOKUPS:
            bounded = client.query().where(fuzzing.SINCE, fuzzing.UNTIL)
            owners = [bounded, bounded.where(*CONDITIONS)]
        for owner in owners:
            with suppress(AnalyticsInvalidQuery):  # aggregations take no conditions on data
                result = getattr(owner, name)(*arguments, **options)
                if name.startswith("iter_"):
                    list(result)
    return [
        (call.method, call.path, call.query, json.dumps(call.body or {}).encode())
        for call in recorder.calls.values()
    ]


def disturbed(chance, request):
    """A request with a part of its body, its query or its path out of place."""
    method, path, query, body = request
    if method == "GET":
        if chance.random() < 0.5:
            path = path.rpartition("/")[0] + "/" + quote(chance.choice(ODD))
        names = ("event_ids", "kinds", "trace_id", "x")
        query = (*query, (chance.choice(names), chance.choice(ODD)))
        body = b""
    elif chance.random() < 0.9:
        body = fuzzing.restructured(chance, body)
    else:
        place = chance.randrange(len(body))
        body = body[:place] + chance.choice(fuzzing.INSERTED) + body[place:]
    return method, f"/v1{path}" + (f"?{urlencode(query)}" if query else ""), body


def test_the_emulator_never_breaks(emulator, requests):
    """Every answer is JSON with a status below 500, and most requests are tried that are not refused at once."""
    connection = http.client.HTTPConnection(urlsplit(emulator.base_url).netloc, timeout=60)
    key = {"Authorization": f"Bearer {emulator.api_key}"}
    statuses = Counter()
    try:
        for seed in range(REQUESTS):
            chance = random.Random(seed)
            method, path, body = disturbed(chance, chance.choice(requests))
            connection.request(method, path, body, key)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 500, (seed, answer.status, path, body[:500], text[:500])
            assert isinstance(json.loads(text), dict), (seed, text[:500])
            statuses[answer.status] += 1
    finally:
        connection.close()
    assert {200, 400} <= set(statuses), statuses
