"""Queries as plain words: readable, versioned, open to templates, and equal to the query again."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings, strategies as st

from vectorshift.analytics import (
    EventField,
    EventKind,
    FieldFilter,
    Filter,
    FilterGroup,
    LogicalOp,
    Query,
)
from vectorshift_orchestration.errors import SpecError
from vectorshift_orchestration.specs import AggregationSpec, QuerySpec
from vectorshift_orchestration.specs.documents import rendered

DOCUMENT = {
    "version": 1,
    "object_id": "pl_1",
    "kinds": ["pipeline.run"],
    "where": [
        {"status": "failure"},
        {"error_message": {"matches": "quota|rate"}},
        {"event_start_time": {"gte": "2026-11-22T00:00:00Z"}},
        {"any": [{"interface_type": {"in": ["form", "voicebot"]}}, {"source": "api"}]},
    ],
}


def test_a_description_reads_as_it_is_meant(client):
    """Scope, kinds, equality, operators, times and alternatives become the query's own filters."""
    expected = client.query(object_ids=["pl_1"], kinds=[EventKind.PIPELINE_RUN]).where(
        EventField.STATUS == "failure",
        EventField.ERROR_MESSAGE.matches("quota|rate"),
        FieldFilter.gte(EventField.EVENT_START_TIME, datetime(2026, 11, 22, tzinfo=UTC)),
    )
    expected = expected.where(
        EventField.INTERFACE_TYPE.includes(["form", "voicebot"]),
        EventField.SOURCE == "api",
        logical_op=LogicalOp.OR,
    )
    spec = QuerySpec.from_dict(DOCUMENT)
    assert spec.query(client) == expected
    assert spec.to_dict() == DOCUMENT
    assert QuerySpec.of(expected) == spec
    assert hash(QuerySpec.of(expected)) == hash(spec)
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_it_selects_the_same_events(blank, client):
    """A description finds at the service what its query finds."""
    blank.insert([{"span_id": "a", "status": "failure"}, {"span_id": "b"}])
    spec = QuerySpec(where=[{"status": "failure"}])
    assert [event["span_id"] for event in spec.query(client).events()["events"]] == ["a"]


# --- round trip ---------------------------------------------------------------

words = st.text(st.characters(codec="utf-8", exclude_characters=","), min_size=1, max_size=5)
values = words.filter(str.strip) | st.booleans() | st.integers(-(2**63), 2**63 - 1)
times = st.builds(
    lambda ms, minutes: (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).astimezone(
        timezone(timedelta(minutes=minutes))
    ),
    st.integers(0, 10**10),
    st.sampled_from([0, 330, -570]),
)
scoped = st.sampled_from([EventField.TRACE_ID, EventField.PROJECT_ID, EventField.SESSION_SOURCE])
joinable = words.filter(str.strip) | st.integers(-(2**63), 2**63 - 1)
scope = st.builds(Filter.eq, scoped, values) | st.builds(
    Filter.in_, scoped, st.lists(joinable, min_size=2, max_size=3)
)
data = st.sampled_from([EventField.SOURCE, EventField.CALLER, EventField.INTERFACE_NAME])
compared = st.builds(
    lambda compare, column, value: compare(column, value),
    st.sampled_from([FieldFilter.eq, FieldFilter.gt, FieldFilter.gte, FieldFilter.lt]),
    data,
    values,
)
included = st.builds(FieldFilter.includes, data, st.lists(values, min_size=1, max_size=3))
matched = st.builds(FieldFilter.matches, data, words.filter(str.strip))
timed = st.builds(
    lambda compare, column, at: compare(column, at),
    st.sampled_from([FieldFilter.gte, FieldFilter.lte, FieldFilter.eq]),
    st.sampled_from([EventField.EVENT_START_TIME, EventField.EVENT_END_TIME]),
    times,
)
atoms = scope | compared | included | matched | timed
groups = st.builds(
    FilterGroup, st.lists(atoms, min_size=1, max_size=3), st.sampled_from(list(LogicalOp))
)


@settings(max_examples=80, deadline=None, database=None)
@given(
    terms=st.lists(atoms | groups, max_size=4),
    object_id=st.none() | words.filter(str.strip),
    kinds=st.lists(st.sampled_from(EventKind), max_size=3, unique=True),
    limit=st.integers(1, 1000),
    offset=st.integers(0, 1000),
)
def test_every_query_comes_back_equal(terms, object_id, kinds, limit, offset):
    """Query to description to JSON to query: the same query, and the same description."""
    written = {"kinds": [kind.value for kind in kinds], "limit": limit, "offset": offset}
    query = Query.from_dict(written | {"object_id": object_id}).where(*terms)
    spec = QuerySpec.of(query)
    text = json.dumps(spec.to_dict())
    assert QuerySpec.from_dict(json.loads(text)) == spec
    assert QuerySpec.from_dict(json.loads(text)).query() == query


def test_several_operators_and_all_are_several_conditions():
    """A range on one field is two conditions; `all` is a group that holds as a whole."""
    start, end = "2026-11-22T00:00:00Z", "2026-11-23T00:00:00+01:00"
    ranged = QuerySpec(where=[{"event_end_time": {"gte": start, "lt": end}}])
    assert ranged.where == ({"event_end_time": {"gte": start}}, {"event_end_time": {"lt": end}})
    grouped = QuerySpec(where=[{"all": [{"source": "api"}, {"status": "failure"}]}])
    assert QuerySpec.from_dict(grouped.to_dict()).query() == grouped.query()


# --- templates ----------------------------------------------------------------


def test_every_text_may_be_a_template_until_it_is_read():
    """Ids, kinds, operands and list members render first; only then is anything checked."""
    template = {
        "version": 1,
        "object_id": "{{ pipeline }}",
        "kinds": ["{{ kind }}"],
        "where": [
            {"event_start_time": {"gte": "{{ start }}"}},
            {"any": [{"status": "{{ status }}"}, {"source": {"in": ["{{ source }}", "api"]}}]},
        ],
    }
    existing = {
        "pipeline": "pl_1",
        "kind": "pipeline.run",
        "start": "2026-11-22T00:00:00+00:00",
        "status": "failure",
        "source": "web",
    }

    def render(text):
        for name, value in existing.items():
            text = text.replace("{{ " + name + " }}", value)
        return text

    spec = QuerySpec.from_dict(template, render)
    assert spec == QuerySpec.from_dict(rendered(template, render))
    assert "{{" not in json.dumps(spec.to_dict())
    assert spec.where[0] == {"event_start_time": {"gte": "2026-11-22T00:00:00Z"}}
    with pytest.raises(SpecError, match=r"\{\{ start \}\}"):
        QuerySpec.from_dict(template)
    metrics = {"metrics": ["{{ field }}.sum"], "group_by": ["{{ by }}"]}
    assert AggregationSpec.from_dict(
        metrics, lambda text: text.replace("{{ field }}", "runs").replace("{{ by }}", "model_id")
    ) == AggregationSpec(["runs.sum"], ["model_id"])


# --- refusals -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ({"objct_id": "pl_1"}, "Did you mean object_id"),
        ({"version": 2}, "version 2"),
        ({"version": True}, "version True"),
        ([], "JSON object"),
        ({"where": {"status": "failure"}}, "is a list"),
        ({"where": [{"sttaus": "failure"}]}, "Did you mean status"),
        ({"where": [{"status": "failed"}]}, "failure"),
        ({"where": [{"status": "failure", "source": "api"}]}, "exactly one field"),
        ({"where": ["status"]}, "not a condition"),
        ({"where": [{"source": {"matchs": "a"}}]}, "Did you mean matches"),
        ({"where": [{"source": {}}]}, "has no operator"),
        ({"where": [{"source": ["api"]}]}, "a list goes with in"),
        ({"where": [{"source": {"in": "api"}}]}, "a list goes with in"),
        ({"where": [{"source": None}]}, "None"),
        ({"where": [{"latency": 5}]}, "cannot be filtered"),
        ({"where": [{"trace_id": {"gt": "a"}}]}, "GT"),
        ({"where": [{"event_start_time": "2026-11-22"}]}, "with Z or an offset"),
        ({"where": [{"event_start_time": {"gte": "2026-11-22T00:00:00"}}]}, "with Z or an offset"),
        ({"where": [{"event_start_time": {"gte": 5}}]}, "with Z or an offset"),
        ({"where": [{"any": []}]}, "at least one condition"),
        ({"where": [{"any": [{"any": [{"source": "a"}]}]}]}, "no groups inside"),
        ({"where": [{"any": [{"event_end_time": {"gt": "a", "lt": "b"}}]}]}, "with Z or an offset"),
        ({"kinds": "pipeline.run"}, "is a list"),
        ({"kinds": ["pipeline.rnu"]}, "pipeline.run"),
        ({"object_type": "agent"}, "agent"),
        ({"limit": 0}, "limit"),
    ],
)
def test_a_description_that_says_nothing_is_refused(document, part):
    """Unknown keys, fields and operators name the nearest; times need a zone; nothing is guessed."""
    with pytest.raises(SpecError, match=part):
        QuerySpec.from_dict(document)


@pytest.mark.parametrize(
    "term",
    [
        FieldFilter.eq(EventField.EVENT_START_TIME, "2026-11-22T00:00:00Z"),
        FieldFilter.eq(EventField.SOURCE, datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_what_has_no_readable_form_is_refused(term):
    """A text on a time field and a time on a text field would read back as something else."""
    with pytest.raises(SpecError, match="no readable form"):
        QuerySpec.of(Query.from_dict({}).where(term))


def test_a_grouped_query_is_two_descriptions(client):
    """Slices belong to an aggregation."""
    with pytest.raises(SpecError, match="slices"):
        QuerySpec.of(client.query().group_by("MODEL_ID"))


def test_an_aggregation_round_trips():
    """Metrics, dimensions and interval come back from JSON, checked; unknown keys do not pass."""
    spec = AggregationSpec(["runs.sum", "latency.p95"], ["time", "model_id"], "day")
    document = json.loads(json.dumps(spec.to_dict()))
    assert document["version"] == 1
    assert AggregationSpec.from_dict(document) == spec
    for wrong, part in (
        ({"metric": ["runs.sum"]}, "Did you mean metrics"),
        ({"metrics": ["runs.sum"], "intervall": "day"}, "Did you mean interval"),
        ({}, "at least one metric"),
        ({"version": "2", "metrics": ["runs.sum"]}, "version '2'"),
    ):
        with pytest.raises(SpecError, match=part):
            AggregationSpec.from_dict(wrong)
