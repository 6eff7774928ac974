"""A query as data: its JSON form, its repr, and what it refuses to read."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings, strategies as st

from vectorshift import AnalyticsInvalidQuery
from vectorshift.analytics import (
    Analytics,
    EventField,
    EventKind,
    EventStatus,
    FieldFilter,
    Filter,
    FilterGroup,
    GroupBy,
    Interval,
    LogicalOp,
    Query,
)

SCOPE = [field for field in EventField if field.category == "scope"]
DATA = [
    field for field in EventField if field.category == "data" and field is not EventField.STATUS
]

words = st.text(min_size=1).filter(lambda text: "," not in text and text.strip())
zones = (
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    | st.timezones()
)
values = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
    | st.datetimes(datetime(1980, 1, 1), datetime(2099, 1, 1), timezones=zones)  # noqa: DTZ001  # it adds the zone
)
atoms = st.one_of(
    st.builds(Filter.eq, st.sampled_from(SCOPE), words),
    st.builds(Filter.in_, st.sampled_from(SCOPE), st.lists(words, min_size=1, max_size=3)),
    *(
        st.builds(build, st.sampled_from(DATA), values)
        for build in (
            FieldFilter.eq,
            FieldFilter.gt,
            FieldFilter.gte,
            FieldFilter.lt,
            FieldFilter.lte,
        )
    ),
    st.builds(FieldFilter.eq, st.just(EventField.STATUS), st.sampled_from(EventStatus)),
    st.builds(FieldFilter.matches, st.sampled_from(DATA), words),
    st.builds(
        FieldFilter.includes, st.sampled_from(DATA), st.lists(values, min_size=1, max_size=3)
    ),
)
groups = st.builds(FilterGroup, st.lists(atoms, max_size=3), st.sampled_from(LogicalOp))
scopes = st.fixed_dictionaries(
    {},
    optional={
        "object_ids": st.lists(words, min_size=1, max_size=1),
        "kinds": st.lists(st.sampled_from(EventKind), max_size=3),
        "limit": st.integers(1, 10_000),
        "offset": st.integers(0, 10_000),
    },
) | st.fixed_dictionaries({"object_type": st.sampled_from(["pipeline", "Form", "PORTAL"])})


@settings(max_examples=150, deadline=None)
@given(scope=scopes, terms=st.lists(atoms | groups, max_size=3))
def test_to_dict_and_back_is_the_same_query(scope, terms):
    """Any query survives its JSON form: equal, hash equal, and its JSON form the same again."""
    query = Analytics.query(**scope).where(*terms)
    text = json.dumps(query.to_dict())
    back = Query.from_dict(json.loads(text))
    assert back == query
    assert hash(back) == hash(query)
    assert json.dumps(back.to_dict()) == text
    assert repr(back) == repr(query)


@pytest.mark.parametrize("kind", [Analytics.query, Analytics.aquery])
def test_a_grouped_query_has_a_json_form(kind):
    """group_by and interval are part of the JSON form and are read back from it."""
    grouped = kind(limit=5).group_by([GroupBy.TIME, "MODEL_ID"], Interval.DAY)
    data = grouped.to_dict()
    assert (data["group_by"], data["interval"]) == (["TIME", "MODEL_ID"], "DAY")
    assert Query.from_dict(data).to_dict() == data


GOOD = {
    "version": 1,
    "object_type": "pipeline",
    "where": [{"field": "STATUS", "op": "EQ", "value": "failure"}],
}
BAD = {
    "no object": [],
    "unknown key": {"wher": []},
    "version": {"version": 2},
    "kinds": {"kinds": ["x"]},
    "limit": {"limit": 0},
    "offset": {"offset": "1"},
    "where text": {"where": "status"},
    "where number": {"where": 5},
    "term": {"where": [5]},
    "term keys": {"where": [{"field": "STATUS"}]},
    "field": {"where": [{"field": "STATUSS", "op": "EQ", "value": "failure"}]},
    "op": {"where": [{"field": "STATUS", "op": "NEQ", "value": "failure"}]},
    "value": {"where": [{"field": "STATUS", "op": "EQ", "value": None}]},
    "naive": {
        "where": [{"field": "EVENT_START_TIME", "op": "GT", "value": {"datetime": "2026-01-01"}}]
    },
    "no time": {
        "where": [{"field": "EVENT_START_TIME", "op": "GT", "value": {"datetime": "soon"}}]
    },
    "aggregate-only": {"where": [{"field": "LATENCY", "op": "EQ", "value": 1}]},
    "group": {"where": [{"op": "OR", "filters": 5}]},
    "group op": {"where": [{"op": "XOR", "filters": []}]},
    "nested": {"where": [{"op": "OR", "filters": [{"op": "OR", "filters": []}]}]},
    "group_by": {"group_by": ["WEATHER"]},
    "interval": {"group_by": ["TIME"], "interval": "FORTNIGHT"},
    "no interval": {"group_by": ["TIME"]},
    "stray interval": {"interval": "DAY"},
    "id": {"object_id": ""},
    "type": {"object_type": "agent"},
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_json_form_is_refused(name):
    """from_dict checks everything again and raises AnalyticsInvalidQuery for what is not a query."""
    data = BAD[name]
    with pytest.raises(AnalyticsInvalidQuery):
        Query.from_dict(GOOD | data if isinstance(data, dict) else data)


def test_a_good_json_form_is_read():
    """The base of the mistakes above is itself right."""
    assert Query.from_dict(GOOD) == Analytics.query(object_type="pipeline").where(status="failure")


def test_the_repr_shows_the_query():
    """A query shows its parts, and never a key."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    query = Analytics.query(object_ids=["cb_1"], limit=5).where(
        FieldFilter.gte(EventField.EVENT_START_TIME, start)
    )
    assert repr(query) == (
        "Query(object_id='cb_1', where=[{'field': 'EVENT_START_TIME', 'op': 'GTE', "
        "'value': {'datetime': '2026-01-01T00:00:00+00:00'}}], limit=5, offset=0)"
    )
