"""docs/wire-format.md tells the truth: its examples are run, its table is the list in code."""

import json
import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from tests.locked_environment import ROOT
from tests.official.deviations import DEVIATIONS
from tests.official.recorder import canonical, recording

DOCUMENT = (ROOT / "docs" / "wire-format.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n```json\n(\w+) (\S+)\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize(
    ("source", "method", "target", "body"), EXAMPLES, ids=[example[2] for example in EXAMPLES]
)
def test_an_example_sends_what_the_page_shows(monkeypatch, source, method, target, body):
    """The Python of an example sends the request printed below it."""
    import vectorshift
    from vectorshift import analytics

    names = {name: getattr(analytics, name) for name in analytics.__all__}
    with recording() as recorder:
        monkeypatch.setattr(vectorshift, "api_key", "sk_document")
        monkeypatch.setenv("VECTORSHIFT_BASE_URL", recorder.base_url)
        eval(source.strip(), {**names, "datetime": datetime, "UTC": UTC})
        (request,) = recorder.by_key["sk_document"]
    assert request.method == method
    assert (request.path, request.raw_query) == (urlsplit(target).path, urlsplit(target).query)
    assert request.body == (canonical(json.loads(body)) if body else "")


def test_every_endpoint_has_an_example():
    """All eight requests of docs/contract.md A2 that a user makes directly are shown."""
    displayed = {
        (method, target.split("/tr_")[0].split("/sp_")[0]) for _, method, target, _ in EXAMPLES
    }
    assert len(EXAMPLES) == len(displayed) == 8


def test_the_table_of_deviations_is_the_list_in_code():
    """The document names each deviation with its reason, and no other."""
    displayed = DOCUMENT.partition("deviations.py -->\n")[2].partition("<!-- end -->")[0]
    rows = "".join(f"| {each.name} | {each.reason} |\n" for each in DEVIATIONS)
    assert displayed == f"| Deviation | What is sent, and why |\n|---|---|\n{rows}"
