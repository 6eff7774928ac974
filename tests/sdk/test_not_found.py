"""404 in each of its meanings: the address is wrong, a route is missing, or there is no such thing."""

import asyncio

import pytest

from tests.sdk.conftest import IMPATIENT, SINCE
from tests.sdk.scripted import Answer
from vectorshift import AnalyticsNotFound, Client, NotFoundError, VectorshiftApiError
from vectorshift.errors import AnalyticsRouteNotFound

QUERIES = {
    "count": lambda client: client.query().count(),
    "events": lambda client: client.query().events(),
    "table": lambda client: client.query().table(["status"]),
    "aggregate": lambda client: client.query().where(SINCE).sum("runs"),
    "export": lambda client: client.query().export("CSV", "x"),
    "acount": lambda client: asyncio.run(client.query().acount()),
    "aaggregate": lambda client: asyncio.run(client.query().where(SINCE).asum("runs")),
    "aexport": lambda client: asyncio.run(client.query().aexport("CSV", "x")),
}
LOOKUPS = {
    "trace": lambda client: client.trace("tr_1"),
    "event": lambda client: client.event("sp_1"),
    "run": lambda client: client.run(object_type="chatbot", object_id="o", run_id="r"),
    "export_task": lambda client: client.export_task("ex_1"),
    "atrace": lambda client: asyncio.run(client.atrace("tr_1")),
    "aexport_task": lambda client: asyncio.run(client.aexport_task("ex_1")),
}
PAGES = {
    "Go": b"404 page not found\n",
    "HTML": b"<html><h1>Not Found</h1></html>",
    "JSON": b'{"detail":"Not Found"}',
    "nothing": b"",
}


@pytest.fixture
def lost(emulator):
    """A client whose base URL lacks the version."""
    base = emulator.base_url.removesuffix("/v1")
    with Client(emulator.api_key, base, retry=IMPATIENT) as client:
        yield client


@pytest.mark.parametrize("name", QUERIES)
def test_a_base_url_without_its_version_is_named(lost, emulator, name):
    """A call that names no id blames the address, once, and says how it looks when it is right."""
    with pytest.raises(
        NotFoundError, match=r"may lack its /v1.*https://api\.vectorshift\.ai/v1"
    ) as caught:
        QUERIES[name](lost)
    assert "Check the id" not in str(caught.value)
    assert not isinstance(caught.value, AnalyticsNotFound)


@pytest.mark.parametrize("name", LOOKUPS)
def test_a_lookup_names_both_reasons(lost, name):
    """A call with an id cannot know which of the two is wrong, so it says both."""
    with pytest.raises(AnalyticsRouteNotFound, match=r"Check the id.*may lack its /v1"):
        LOOKUPS[name](lost)


@pytest.mark.parametrize("page", PAGES)
def test_the_sentence_of_a_plain_404(scripted, service, page):
    """Whatever body a 404 has, the sentence says where it came from and what to do, and nothing is tried again."""
    service.begin(Answer(PAGES[page], 404))
    with pytest.raises(
        NotFoundError, match=r"^HTTP 404 from POST /analytics/events/count.*base URL"
    ):
        scripted.query().count()
    assert len(service.requests) == 1


@pytest.mark.parametrize("twin", ["blocking", "awaiting"])
def test_a_poll_route_that_is_missing_ends_the_wait(scripted, service, twin):
    """An export was made and its state cannot be requested: one look, and a sentence about the route."""

    def answer(request):
        if request.method == "POST":
            return Answer({"status": "success", "task_id": "ex_1", "task_status": "pending"})
        return Answer(b"404 page not found", 404)

    service.script = answer
    query = scripted.query()
    waits = {
        "blocking": lambda: query.export_and_wait("CSV", "x", poll_interval=0.01),
        "awaiting": lambda: asyncio.run(query.aexport_and_wait("CSV", "x", poll_interval=0.01)),
    }
    with pytest.raises(AnalyticsNotFound, match=r"ex_1.*just given, the route is missing"):
        waits[twin]()
    assert [each.method for each in service.requests] == ["POST", "GET"]


def test_what_a_200_does_not_find_says_nothing_of_the_address(scripted, service):
    """The service itself said so, so the base URL is right."""
    service.begin({"status": "failed", "error": "no such trace"})
    with pytest.raises(AnalyticsNotFound, match="Check the id") as caught:
        scripted.trace("tr_1")
    assert "/v1" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 405])
def test_an_address_that_leads_elsewhere_is_named(scripted, service, status):
    """A redirect and "method not allowed" come from whatever is not the API."""
    service.begin(Answer(b"", status, {"Location": "https://elsewhere.example/login"}))
    with pytest.raises(VectorshiftApiError, match="Check the base URL: it must be the API's own"):
        scripted.query().count()
    assert len(service.requests) == 1
