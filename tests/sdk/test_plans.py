"""What a query becomes on the wire is worked out once for each query, and never taken from another one."""

import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from vectorshift.analytics import Analytics, EventField, FieldFilter, FieldFilterOp, _flows as flows
from vectorshift.analytics._plan import plan
from vectorshift.errors import AnalyticsInvalidQuery

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _body(query):
    return next(flows.events(query._spec)).body


@pytest.mark.parametrize("verb", ["search", "table", "count"])
def test_a_query_is_planned_once_for_each_verb(verb):
    """Asking again gives the same plan, and the verbs do not share one."""
    spec = Analytics.query(object_ids=["a"]).where(EventField.EVENT_START_TIME >= NOON)._spec
    assert plan(spec, verb) is plan(spec, verb)
    assert (plan(spec, verb).start is None) == (verb == "table")


@pytest.mark.parametrize("value", [1, True, "one"])
def test_values_that_python_calls_equal_keep_their_own_bodies(value):
    """1, True and 1.0 differ on the wire, whichever of them was sent before."""
    output = {
        type(each): _body(Analytics.query().where(session_name=each))
        for each in (True, 1, 1.0, "one", value)
    }
    (filtered,) = output[type(value)]["table_filters"]
    name = {bool: "bool_value", int: "int_value", str: "string_value"}[type(value)]
    assert filtered["basic_op"]["value"] == {name: value}


def test_equal_instants_keep_their_own_spelling():
    """12:00Z and 13:00+01:00 are equal to Python; each goes out as it was written."""
    later = NOON.astimezone(timezone(timedelta(hours=1)))
    bodies = [
        _body(Analytics.query().where(FieldFilter.gte(EventField.EVENT_START_TIME, t)))
        for t in (NOON, later)
    ]
    assert [each["start_time"] for each in bodies] == [
        "2026-01-01T12:00:00Z",
        "2026-01-01T13:00:00+01:00",
    ]


def test_a_refused_query_is_refused_each_time():
    """An error is not remembered as an answer."""
    spec = Analytics.query().where(EventField.STATUS == "failure")._spec
    for _ in range(2):
        with pytest.raises(AnalyticsInvalidQuery, match="data column"):
            plan(spec, "aggregate")


def test_refining_a_query_that_was_sent_changes_what_is_sent():
    """A condition that is added later is in the next body, and not in that of the query it was added to."""
    query = Analytics.query(object_ids=["a"])
    before = _body(query)
    after = _body(query.where(status="failure"))
    assert "table_filters" not in before
    assert after["table_filters"]
    assert _body(query) == before


def test_a_query_that_was_sent_pickles_like_one_that_was_not():
    """What was worked out stays in the process."""
    fresh, sent = (Analytics.query(object_ids=["a"]).where(status="failure") for _ in range(2))
    _body(sent)
    assert pickle.dumps(sent) == pickle.dumps(fresh)
    assert pickle.loads(pickle.dumps(sent)) == fresh


def test_an_operator_as_text_becomes_its_member():
    """Text that is equal to an operator is not taken for the member itself."""
    spelled = FieldFilter(EventField.STATUS, "failure", "EQUALS")  # type: ignore[arg-type]  # as people write it
    assert type(spelled.op) is FieldFilterOp


def test_building_a_query_loads_nothing_that_runs_it():
    """A file of DAGs or assets that names queries is read again and again, and asks nothing."""
    code = (
        "import sys; from vectorshift import Analytics; "
        "Analytics.query(object_type='pipeline').where(status='failure').to_dict(); "
        "print(*(name for name in sys.modules if name.startswith('vectorshift')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "vectorshift.analytics._query" in loaded
    assert not loaded & {
        "vectorshift._account",
        "vectorshift._calls",
        "vectorshift._transport",
        "vectorshift.analytics._flows",
        "vectorshift.analytics._answers",
    }


def test_the_request_for_the_own_page_is_made_once_and_others_each_time():
    """A query that is sent again sends the very same request, and a page of another size or place is not taken for it."""
    spec = Analytics.query(limit=7)._spec
    own = next(flows.events(spec))
    other = next(flows.events(spec, 3, 6))
    assert next(flows.events(spec)) is own
    assert own.body["pagination_config"]["results_per_page"] == 7
    assert other.body["pagination_config"] == {
        "results_per_page": 3,
        "page_number": 3,
        "offset": 6,
    }
