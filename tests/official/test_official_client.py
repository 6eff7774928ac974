"""The official client works against the emulator, and every answer it gives is the truth."""

import json
import urllib.request

import pytest

from tests.official.case import lookup, query
from tests.official.judging import answers, judge
from tests.official.runs import run
from tests.official.script import cases
from tests.official.vocabulary import call, compare, member


@pytest.mark.parametrize("keys", ["camel", "snake"])
def test_every_call_of_the_script_is_true(official, emulator, record_property, keys):
    """Over all endpoints, blocking and async, the official client's answer is what DuckDB says."""
    emulator.settings(keys=keys)
    right, wrong = judge(official, emulator, cases(emulator.truth))
    total = right + len(wrong)
    record_property("count", f"official client, {keys} keys: {right} of {total} calls right")
    assert not wrong, "\n\n".join(wrong)
    assert total >= 40


@pytest.mark.parametrize("mode", ["sync", "no-poll"])
def test_an_export_of_the_official_client_holds_every_matching_event(official, emulator, mode):
    """The file behind the URL of its export has the rows of the truth, in both terminals."""
    emulator.settings(export_mode=mode)
    since = compare("EVENT_START_TIME", ">=", {"datetime": "2026-01-01T00:00:00+00:00"})
    failures = call("where", since, compare("STATUS", "==", "failure"))
    chains = [
        query(failures, call(name, "json", "failures.json"))
        for name in ("export", "aexport", "export_and_wait", "aexport_and_wait")
    ]
    true = emulator.truth(
        "SELECT span_id FROM events WHERE status = 'failure' AND start_time >= '2026-01-01' "
        "ORDER BY 1"
    )
    for outcome in answers(official, emulator, chains):
        task = outcome["answer"]
        assert (task["task_status"], task["file_name"]) == ("ready", "failures.json")
        with urllib.request.urlopen(task["download_url"], timeout=30) as file:
            rows = json.load(file)
        assert sorted(row["span_id"] for row in rows) == [row["span_id"] for row in true]


def test_a_pending_export_is_what_the_official_client_reports(official, emulator):
    """In mode async its export() names a pending task, which its export_and_wait() cannot await."""
    emulator.settings(export_mode="async", export_delay=30)
    created, waited = answers(
        official,
        emulator,
        [query(call(name, "csv", "all.csv")) for name in ("export", "export_and_wait")],
    )
    assert created["answer"]["task_status"] == "pending"
    assert created["answer"]["task_id"]
    assert waited["raised"][0] == "AnalyticsExportFailed"


def test_the_emulators_refusals_are_the_official_clients_errors(official, emulator):
    """A wrong key, unknown ids and a value the wire has no name for end in its typed errors."""
    chains = [
        {"key": "sk_wrong", **query(call("count"))},
        {"key": emulator.api_key, **lookup("trace", "tr_nowhere")},
        {"key": emulator.api_key, **lookup("event", "sp_nowhere")},
        {
            "key": emulator.api_key,
            **lookup("run", object_type="form", object_id="f", run_id="r"),
        },
        {
            "key": emulator.api_key,
            **query(
                call("where", call("FieldFilter.eq", member("EventField.TRACE_ID"), "x")),
                call("count"),
            ),
        },
    ]
    raised = [outcome["raised"] for outcome in run(official, chains, emulator.base_url)]
    not_found = {"AnalyticsNotFound", "NotFoundError"}
    assert raised[0][0] == "AuthenticationError"
    assert all(not_found & set(each) for each in raised[1:4])
    assert raised[4][0] == "BadRequestError"
