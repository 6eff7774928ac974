"""Several queries and one table: none replaces the rows of another unseen, and sources stand side by side."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest

from tests.orchestration.conftest import EVERY_KIND
from tests.orchestration.rows import DAY, batch
from vectorshift_orchestration.errors import (
    SchemaMismatch,
    StaleWriterError,
    StorageError,
    WindowTakenError,
)
from vectorshift_orchestration.storage.ledger import LEDGER, committed
from vectorshift_orchestration.storage.sql import begin_attempt, overwrite_window
from vectorshift_orchestration.windows import Window

NOON = DAY.start + timedelta(hours=12)
YESTERDAY = Window(DAY.start - timedelta(days=1), DAY.start)
TOMORROW = Window(DAY.end, DAY.end + timedelta(days=1))
BOTH = Window(DAY.start, TOMORROW.end)
WEEK = Window(DAY.start - timedelta(days=3), DAY.end + timedelta(days=3))
HOUR = Window(NOON, NOON + timedelta(hours=1))

in_every_kind = pytest.mark.parametrize("store", EVERY_KIND, indirect=True)


def write(connection, n, window=DAY, **options):
    """One row at the window's start, which bears the mark `n`."""
    rows = [batch([window.start], n=[n])]
    return overwrite_window(connection, "events", window, rows, time_column="at", **options)


def notes(store):
    return sorted(store.query(f"SELECT table_name, source, query_key FROM {LEDGER}"), key=repr)


# --- another query -------------------------------------------------------------------


@in_every_kind
@pytest.mark.parametrize("other", [DAY, BOTH, WEEK, HOUR], ids=["same", "over", "around", "in"])
def test_another_query_does_not_replace_the_rows_of_a_window(store, other):
    """In its own window or one that overlaps it: refused before the work, and before the rows go."""
    write(store.connection, 1, query_key="a")
    before = store.rows(), notes(store)
    requested = {"query_key": "b"}
    with pytest.raises(WindowTakenError, match=r"rows that another query put there.*replace_other"):
        begin_attempt(store.connection, "events", other, **requested)
    with pytest.raises(WindowTakenError):
        write(store.connection, 2, other, **requested)
    assert (store.rows(), notes(store)) == before


@in_every_kind
def test_the_same_query_goes_on(store):
    """Its own windows, wider and overlapping ones, and neighbours of another query are written as ever."""
    write(store.connection, 1, query_key="a", key="1")
    for window in (DAY, BOTH, HOUR):
        begin_attempt(store.connection, "events", window, query_key="a")
        write(store.connection, 2, window, query_key="a", key=window.label)
    write(store.connection, 3, YESTERDAY, query_key="b")
    assert len(store.rows()) == 3


@in_every_kind
def test_who_says_so_replaces_and_owns_the_window(store):
    """`replace_other` takes over; from then on the window is the new query's, and not the old one's."""
    write(store.connection, 1, WEEK, query_key="a")
    write(store.connection, 2, YESTERDAY, query_key="a")
    attempt = begin_attempt(store.connection, "events", BOTH, query_key="b", replace_other=True)
    write(store.connection, 3, BOTH, query_key="b", replace_other=True, attempt=attempt)
    write(store.connection, 4, BOTH, query_key="b")
    with pytest.raises(WindowTakenError):
        write(store.connection, 5, DAY, query_key="a")
    write(store.connection, 6, YESTERDAY, query_key="a")
    assert [row[1] for row in store.rows()] == [1, 6, 4]


def test_of_two_queries_at_once_the_second_is_reported_for_good(store):
    """Both began on an empty table: who comes later hears that it is another query, not that it is late."""
    attempts = [
        begin_attempt(store.connection, "events", DAY, query_key=query_key) for query_key in "ab"
    ]
    write(store.connection, 1, query_key="a", attempt=attempts[0])
    with pytest.raises(WindowTakenError):
        write(store.connection, 2, query_key="b", attempt=attempts[1])


@pytest.mark.parametrize(
    ("first", "then", "refused"),
    [
        ({"key": "1"}, {"key": "2"}, True),
        ({"key": "1"}, {"key": "1"}, False),
        ({}, {"key": "2"}, False),
        ({"key": "1"}, {}, False),
        ({"key": "1"}, {"key": "2", "query_key": "a"}, False),
        ({"key": "1", "query_key": "a"}, {"key": "2", "query_key": "a"}, False),
        ({"key": "1", "query_key": "a"}, {"key": "1", "query_key": "b"}, True),
        ({"key": "1", "query_key": "a"}, {"key": "2"}, False),
    ],
)
def test_what_both_sides_report_is_compared(store, first, then, refused):
    """The query where both name it, else the request of the same window; who says nothing is let pass."""
    write(store.connection, 1, **first)
    if refused:
        with pytest.raises(WindowTakenError):
            write(store.connection, 2, **then)
    else:
        write(store.connection, 2, **then)
    assert store.rows() == [(DAY.start, 1 if refused else 2)]
    write(store.connection, 3, HOUR, key="another window has another key")


@in_every_kind
def test_a_ledger_of_before_is_taken_on(store):
    """Without the columns of queries and sources: its windows belong to nobody, and are fenced."""
    write(store.connection, 1, key="1")
    for column in ("query_key", "source"):
        store.execute(f"ALTER TABLE {LEDGER} DROP COLUMN {column}")
    assert committed(store.connection, "events", DAY).key == "1"
    late = begin_attempt(store.connection, "events", DAY, query_key="a")
    write(store.connection, 2, query_key="a")
    with pytest.raises(StaleWriterError):
        write(store.connection, 3, query_key="a", attempt=late)
    assert committed(store.connection, "events", DAY).query_key == "a"
    write(store.connection, 4, TOMORROW, source="x", query_key="b")
    assert [row[:2] for row in store.rows()] == [(DAY.start, 2), (DAY.end, 4)]


# --- sources ---------------------------------------------------------------------------


@in_every_kind
def test_sources_fill_one_table_side_by_side(store):
    """Each has its own rows, its own ledger row and its own fence, in one window and over several."""
    sources = ["orders", "eu/returns [2]", "o'neil %s", "übrige ✓"]
    attempts = {
        source: begin_attempt(store.connection, "events", DAY, source=source, query_key=source)
        for source in sources
    }
    for number, source in enumerate(sources):
        attempt = attempts[source]
        write(store.connection, number, source=source, query_key=source, attempt=attempt)
    assert sorted(row[1:] for row in store.rows()) == list(enumerate(sources))
    again = write(store.connection, 9, BOTH, source="orders", query_key="orders")
    assert (again.rows, again.deleted) == (1, 1)
    assert sorted(row[1:] for row in store.rows()) == [
        *list(enumerate(sources))[1:],
        (9, "orders"),
    ]
    for source in sources[1:]:
        result = committed(store.connection, "events", DAY, source=source)
        assert (result.rows, result.query_key, result.source) == (1, source, source)
    assert committed(store.connection, "events", DAY, source="orders") is None
    assert committed(store.connection, "events", DAY) is None


@in_every_kind
def test_a_source_has_its_own_fence_and_its_own_query(store):
    """A slow writer of the same source gives way, and another query does not take its name."""
    slow = begin_attempt(store.connection, "events", DAY, source="orders", query_key="a")
    with closing(store.connect()) as fast:
        write(fast, 1, source="orders", query_key="a")
    with pytest.raises(StaleWriterError, match="source 'orders'"):
        write(store.connection, 2, source="orders", query_key="a", attempt=str(slow))
    with pytest.raises(WindowTakenError):
        write(store.connection, 2, source="orders", query_key="b")


@in_every_kind
def test_rows_without_a_source_and_with_one_are_distinguished(store):
    """Rows from before sources would be there twice, and a write without a source would empty all."""
    write(store.connection, 1, query_key="a")
    write(store.connection, 1, TOMORROW, query_key="a")
    with pytest.raises(WindowTakenError, match="rows without a source_name"):
        write(store.connection, 2, source="orders", query_key="a")
    write(store.connection, 2, source="orders", query_key="a", replace_other=True)
    write(store.connection, 3, source="returns", query_key="b")
    with pytest.raises(WindowTakenError, match=r"source '(orders|returns)'"):
        write(store.connection, 4, query_key="a")
    assert sorted(row[1] for row in store.rows()) == [1, 2, 3]
    write(store.connection, 4, query_key="a", replace_other=True)
    assert sorted(row[1:] for row in store.rows()) == [(1, None), (4, None)]
    assert notes(store) == [("events", None, "a")] * 2
    write(store.connection, 5, query_key="a")


def test_an_empty_window_of_a_source_takes_only_its_rows(store):
    """No rows is an answer, of this source alone."""
    shape = batch([], n=[1][:0]).schema
    for source in ("orders", "returns"):
        write(store.connection, 1, source=source)
    empty = overwrite_window(
        store.connection, "events", DAY, [], schema=shape, time_column="at", source="orders"
    )
    assert (empty.rows, empty.deleted) == (0, 1)
    assert [row[2] for row in store.rows()] == ["returns"]


@pytest.mark.parametrize("source", ["", " x", "x\n", "a\0b", "x" * 101, 7])
def test_what_cannot_name_a_source_is_refused(store, source):
    """Before any statement."""
    with pytest.raises(StorageError, match="source"):
        begin_attempt(store.connection, "events", DAY, source=source)
    with pytest.raises(StorageError, match="source"):
        write(store.connection, 1, source=source)
    assert store.tables() == set()


@pytest.mark.parametrize("store", ["plain"], indirect=True)
def test_a_source_in_capitals_is_refused_where_case_may_not_count(store):
    """Of an unknown database nothing is assumed: it might delete the rows of `orders` as well."""
    with pytest.raises(StorageError, match="small letters"):
        write(store.connection, 1, source="Orders")


def test_rows_that_have_such_a_column_already_are_refused(store):
    """It would be there twice; without `source=` it is a column like any other."""
    rows = [batch([NOON], source_name=["theirs"])]
    with pytest.raises(SchemaMismatch, match="source_name"):
        overwrite_window(store.connection, "events", DAY, rows, time_column="at", source="orders")
    for _ in range(2):
        overwrite_window(store.connection, "events", DAY, rows, time_column="at")
    assert store.rows() == [(NOON, "theirs")]
