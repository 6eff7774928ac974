"""Values that users have, of pandas, numpy, enums and the standard library: exact on the wire, or refused in words."""

import itertools
import operator
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from functools import partial
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from vectorshift import AnalyticsInvalidQuery, Client
from vectorshift.analytics import Analytics, EventField, FieldFilter, Filter, Query
from vectorshift.analytics._plan import plan
from vectorshift.analytics._requests import common
from vectorshift.errors import AnalyticsTypeError

DATA, SCOPE = EventField.CALLER, EventField.PROJECT_ID
INSTANT = datetime(2026, 3, 1, 12, 30, 0, 250001, tzinfo=UTC)


class Level(IntEnum):
    """A number of the user's."""

    HIGH = 3


class Team(StrEnum):
    """A word of the user's."""

    RED = "red"


class OldTeam(str, Enum):  # noqa: UP042  # the older spelling, whose str() is another text
    """The same, as it was written before StrEnum."""

    RED = "red"


class Rate(float, Enum):
    """A float of the user's."""

    HALF = 0.5


class Plain(Enum):
    """A member that is not text and no number itself."""

    RED = "red"


EXACT = {
    "np.float64": (np.float64(0.1), 0.1),
    "np.float32": (np.float32(0.1), 0.10000000149011612),
    "np.int64": (np.int64(2**53 + 1), 2**53 + 1),
    "np.uint8": (np.uint8(7), 7),
    "np.bool_": (np.bool_(True), True),
    "np.str_": (np.str_("x"), "x"),
    "array of no dimension": (np.array(5), 5),
    "IntEnum": (Level.HIGH, 3),
    "StrEnum": (Team.RED, "red"),
    "str, Enum": (OldTeam.RED, "red"),
    "float, Enum": (Rate.HALF, 0.5),
    "least int": (-(2**63), -(2**63)),
    "most int": (2**63 - 1, 2**63 - 1),
    "pd.Timestamp": (pd.Timestamp(INSTANT), INSTANT),
    "character beyond 16 bits": ("\U0001f600", "\U0001f600"),
}
REFUSED = {
    "pd.NaT": (pd.NaT, "missing"),
    "pd.NA": (pd.NA, "Use text"),
    "None": (None, "missing value"),
    "nanoseconds": (pd.Timestamp("2026-03-01T00:00:00.000000001Z"), r"floor\('us'\)"),
    "naive pd.Timestamp": (pd.Timestamp("2026-03-01"), "timezone-aware"),
    "year beyond 9999": (
        datetime.max.replace(tzinfo=pd.Timestamp("2026-01-01T00:00-05:00").tzinfo),
        "years",
    ),
    "np.datetime64": (np.datetime64("2026-03-01T00:00:00"), "datetime with a timezone"),
    "np.timedelta64": (np.timedelta64(5, "s"), "Use text"),
    "timedelta": (timedelta(1), "instant"),
    "date": (date(2026, 3, 1), "datetime with a timezone"),
    "Decimal": (Decimal("0.1"), r"float\(value\)"),
    "Fraction": (Fraction(1, 3), "Use text"),
    "long double": (np.longdouble("0.1"), "Use text"),
    "complex": (np.complex128(1), "Use text"),
    "Enum": (Plain.RED, r"\.value"),
    "lone surrogate": ("a\ud800", "character 2 is half"),
    "nan": (float("nan"), "finite"),
    "np.nan": (np.float64("nan"), "finite"),
    "inf": (float("-inf"), "finite"),
    "2**63": (2**63, "64 bits"),
    "uint64": (np.uint64(2**64 - 1), "64 bits"),
    "thousands of digits": (10**5000, "64 bits"),
    "bytes": (b"x", r"decode\(\)"),
    "bytearray": (bytearray(b"x"), r"decode\(\)"),
    "UUID": (UUID(int=1), r"str\(value\)"),
    "a column": (EventField.SOURCE, "column EventField.SOURCE"),
    "an object": (object(), "Use text"),
}
OPERATORS = {
    "==": lambda value: FieldFilter.eq(DATA, value),
    "<": partial(operator.lt, DATA),
    "<=": partial(operator.le, DATA),
    ">": partial(operator.gt, DATA),
    ">=": partial(operator.ge, DATA),
    "includes": lambda value: DATA.includes([value]),
    "in_": lambda value: SCOPE.in_([value]),
    "scope ==": lambda value: Filter.eq(SCOPE, value),
}


def plain_value(built):
    """What a filter compares with."""
    return built.value[0] if isinstance(built.value, tuple) else built.value


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("kind", EXACT)
def test_a_value_is_taken_as_the_plain_one_that_it_is(kind, name):
    """The filter holds exactly the value, of exactly Python's own type, and can be sent."""
    arguments, expected = EXACT[kind]
    value = plain_value(OPERATORS[name](arguments))
    assert (type(value), value) == (type(expected), expected)
    query = Analytics.query().where(OPERATORS[name](arguments))
    assert Query.from_dict(query.to_dict()) == query
    assert common(plan(query._spec, "table"))


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("kind", REFUSED)
def test_any_other_value_is_refused_with_advice(kind, name):
    """The error comes where the filter is built and says what to write instead; nothing is cut and nothing hangs."""
    arguments, advice = REFUSED[kind]
    with pytest.raises(AnalyticsInvalidQuery, match=advice) as caught:
        OPERATORS[name](arguments)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "kind", ["pd.NaT", "nan", "Decimal", "bytes", "UUID", "None", "lone surrogate"]
)
def test_a_named_condition_is_the_same(kind):
    """where(name=value) refuses what the operators refuse."""
    with pytest.raises(AnalyticsInvalidQuery, match=REFUSED[kind][1]):
        Analytics.query().where(caller=REFUSED[kind][0])


@pytest.mark.parametrize("value", [np.int64(5), np.float64(0.5), np.bool_(True), Level.HIGH])
def test_the_column_may_stand_on_the_right(value):
    """numpy leaves a comparison to the column, as Python's numbers do."""
    assert (value == EventField.CALLER) == (value == EventField.CALLER)
    assert (value < EventField.CALLER) == (value < EventField.CALLER)
    with pytest.raises(AnalyticsInvalidQuery, match="in_"):
        value != EventField.CALLER  # noqa: B015  # the comparison is what raises


def test_a_time_of_pandas_may_stand_on_the_left():
    """A bound reads in both directions."""
    lower = pd.Timestamp(INSTANT) <= EventField.EVENT_START_TIME
    assert lower == (EventField.EVENT_START_TIME >= INSTANT)


@pytest.mark.parametrize(
    "values",
    [np.array([1, 2]), pd.Series([1, 2]), pd.Index([1, 2]), (each for each in (1, 2)), range(1, 3)],
    ids=["array", "series", "index", "generator", "range"],
)
def test_any_list_of_values_is_one(values):
    """in_ takes what can be gone through once."""
    assert DATA.in_(values) == DATA.in_([1, 2])


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"a": 1}, "unclear"),
        (pd.DataFrame({"a": [1]}), "unclear"),
        (np.array([[1, 2]]), "unclear"),
        (itertools.count(), "100,000"),
        (np.array([]), "empty"),
        ([["a"]], "list"),
        (b"ab", "decode"),
        (np.array(["a", None], dtype=object), "missing value"),
    ],
    ids=["mapping", "frame", "matrix", "endless", "empty", "nested", "bytes", "a gap"],
)
def test_values_that_are_not_a_list_are_refused(values, advice):
    """Neither the keys of a mapping nor the columns of a frame are meant, and a list without an end is left alone."""
    for build in (DATA.in_, DATA.includes, SCOPE.in_):
        with pytest.raises(AnalyticsInvalidQuery, match=advice):
            build(values)


@pytest.mark.parametrize("value", [True, 0.5, INSTANT], ids=["bool", "float", "datetime"])
def test_ambiguous_values_are_not_joined(value):
    """IN on a scope field is one text on the wire, where True, 0.5 and times have no spelling of their own."""
    with pytest.raises(AnalyticsInvalidQuery, match="commas"):
        SCOPE.in_([value, "x"])


def test_a_pattern_is_text():
    """MATCHES takes text and refuses what is none, an empty one included."""
    assert DATA.matches(OldTeam.RED).value == "red"
    for pattern in ("", " ", 5, None, b"x", "\udfff", Plain.RED):
        with pytest.raises(AnalyticsInvalidQuery):
            DATA.matches(pattern)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.int64(7), "7"),
        (OldTeam.RED, "red"),
        (Level.HIGH, "3"),
        (np.array(["pl_1"]), "pl_1"),
        (7, "7"),
    ],
    ids=["np.int64", "str, Enum", "IntEnum", "array", "int"],
)
def test_an_id_is_the_text_that_it_stands_for(given, expected):
    """object_ids takes one id of any kind that is text or a whole number."""
    assert Analytics.query(object_ids=given)._spec.object_id == expected


@pytest.mark.parametrize(
    "given",
    [b"a", 5.0, UUID(int=1), 10**5000, [None], [b"a"], "\ud800", {"a": 1}, [True], pd.NA],
    ids=[
        "bytes",
        "float",
        "UUID",
        "digits",
        "no id",
        "bytes in a list",
        "surrogate",
        "mapping",
        "bool",
        "NA",
    ],
)
def test_what_is_not_an_id_is_refused(given):
    """An id that is not text is refused wherever ids are given, before anything is sent."""
    client = Client("sk_test_key", "http://127.0.0.1:9/v1")
    requested = [
        lambda: Analytics.query(object_ids=given),
        lambda: client.trace("tr_1", event_ids=given),
    ]
    if not isinstance(given, (list, dict)):
        requested += [
            lambda: client.trace(given),
            lambda: client.event(given),
            lambda: client.export_task(given),
            lambda: client.run(object_type="chatbot", object_id="o", run_id=given),
        ]
    for each in requested:
        with pytest.raises(AnalyticsInvalidQuery):
            each()


def test_event_ids_may_be_one():
    """One id is a list of one, not a list of its letters."""
    from vectorshift.analytics._flows import trace

    assert next(trace("tr_1", event_ids="abc")).query == (("event_ids", "abc"),)


@pytest.mark.parametrize(
    "value",
    [10**5000, "\ud800", float("nan"), b"x", Plain.RED, pd.NaT],
    ids=["digits", "surrogate", "nan", "bytes", "Enum", "NaT"],
)
def test_other_arguments_are_refused_as_well(value):
    """Limits, columns, operations, dimensions and words of enums: a typed error, whatever comes."""
    query = Analytics.query()
    for build in (
        lambda: Analytics.query(limit=value),
        lambda: Analytics.query(kinds=[value]),
        lambda: Analytics.query(object_type=value),
        lambda: query.where(value),
        lambda: query.group_by(value),
        lambda: query.table([value]),
        lambda: query.raw_aggregate([value]),
        lambda: query.percentile("latency", value),
        lambda: query.export(value, "x"),
        lambda: query.export("CSV", value),
        lambda: Query.from_dict({"where": value}),
        lambda: Query.from_dict({"where": [{"field": "CALLER", "op": "EQ", "value": value}]}),
    ):
        with pytest.raises(AnalyticsInvalidQuery):
            build()


def test_a_comparison_that_the_service_lacks_is_an_error_of_ours_too():
    """`!=` is a NotImplementedError, as the reference page says, and caught with all other errors of the SDK."""
    with pytest.raises(NotImplementedError) as caught:
        EventField.STATUS != "success"  # noqa: B015  # the comparison is what raises
    assert isinstance(caught.value, AnalyticsInvalidQuery)
    assert not isinstance(caught.value, AnalyticsTypeError)


def test_neither_pandas_nor_numpy_is_imported():
    """Whoever uses neither does not pay for it."""
    code = (
        "import sys; from vectorshift.analytics import Analytics, EventField as F\n"
        "Analytics.query().where(F.CALLER == 'x', F.CALLER.in_([1, 2]))\n"
        "sys.exit(bool({'numpy', 'pandas'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
