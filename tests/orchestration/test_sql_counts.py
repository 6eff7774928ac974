"""What a table holds after a write is counted in the table: a trigger, a rule or a view cannot falsify it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.orchestration.rows import DAY, batch
from vectorshift_orchestration.errors import StorageError
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.storage.sql import overwrite_window

NOON = DAY.start + timedelta(hours=12)
POSTGRES = ["postgres", "psycopg2", "adbc"]


def write(connection, numbers, table="events", **options):
    rows = [batch([NOON] * len(numbers), n=numbers)]
    return overwrite_window(connection, table, DAY, rows, time_column="at", **options)


DROPS_ONE = (
    "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN IF NEW.n = 2 THEN RETURN NULL; END IF; RETURN NEW; END'"
)
MOVES_ONE = DROPS_ONE.replace("RETURN NULL;", "NEW.at = NEW.at + interval ''1 day''; RETURN NEW;")
KEEPS_OLD = DROPS_ONE.replace("IF NEW.n = 2 THEN RETURN NULL; END IF; RETURN NEW;", "RETURN NULL;")
ADDS_ONE = DROPS_ONE.replace("RETURN NULL;", "INSERT INTO events VALUES (NEW.at, 22); RETURN NEW;")
TRIGGER = "CREATE TRIGGER meddle BEFORE {} ON events FOR EACH ROW EXECUTE FUNCTION meddle()"
MEDDLING = {
    "a row is dropped": (DROPS_ONE, TRIGGER.format("INSERT")),
    "a row goes to another day": (MOVES_ONE, TRIGGER.format("INSERT")),
    "a row is added": (ADDS_ONE, TRIGGER.format("INSERT")),
    "nothing is deleted": (KEEPS_OLD, TRIGGER.format("DELETE")),
    "a rule that deletes nothing": ("CREATE RULE keep AS ON DELETE TO events DO INSTEAD NOTHING",),
    "a rule that hides rows in another table": (
        "CREATE TABLE elsewhere (LIKE events)",
        "CREATE RULE hide AS ON DELETE TO events DO INSTEAD DELETE FROM elsewhere",
    ),
}


@pytest.mark.parametrize("store", POSTGRES, indirect=True)
@pytest.mark.parametrize("statements", MEDDLING.values(), ids=MEDDLING)
def test_a_table_that_does_not_keep_what_it_gets_is_reported(store, statements):
    """Whatever stands between: the rows, the ledger and the file are as they were."""
    write(store.connection, [0], key="old")
    for statement in statements:
        store.execute(statement)
    before = store.rows()
    published = []
    # ADBC counts what it deletes by RETURNING, which such a rule does not go with.
    with pytest.raises(StorageError, match=r"then the table held \d of it|DELETE RETURNING"):
        write(store.connection, [1, 2], before_commit=lambda: published.append(1))
    assert store.rows() == before
    assert published == []
    assert committed(store.connection, "events", DAY).key == "old"


def _execute(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.commit()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_triggers_of_sqlite_are_reported_too(store):
    """A row that a trigger takes away again, and one that it hinders from going."""
    write(store.connection, [0])
    for event, body in (
        ("AFTER INSERT", "DELETE FROM events WHERE n = 2"),
        ("BEFORE DELETE", "SELECT raise(IGNORE)"),
    ):
        store.execute(f"CREATE TRIGGER meddle {event} ON events BEGIN {body}; END")
        with pytest.raises(StorageError, match=r"then the table held \d of it"):
            write(store.connection, [1, 2])
        assert store.rows() == [(NOON, 0)]
        store.execute("DROP TRIGGER meddle")


VIEWS = {
    "duckdb": ["CREATE VIEW v AS SELECT * FROM events"],
    "sqlite": [
        "CREATE VIEW v AS SELECT * FROM events WHERE n <> 2",
        "CREATE TRIGGER put INSTEAD OF INSERT ON v BEGIN INSERT INTO events VALUES (NEW.at, NEW.n); END",
        "CREATE TRIGGER take INSTEAD OF DELETE ON v BEGIN DELETE FROM events WHERE n = OLD.n; END",
    ],
    "postgres": ["CREATE VIEW v AS SELECT * FROM events WHERE n <> 2"],
    "psycopg2": ["CREATE MATERIALIZED VIEW v AS SELECT * FROM events"],
    "adbc": ["CREATE VIEW v AS SELECT * FROM events"],
}


@pytest.mark.parametrize("store", VIEWS, indirect=True)
def test_a_view_is_not_a_table(store):
    """What would stand in for a table is refused in words, whatever it would do with the rows."""
    write(store.connection, [0])
    for statement in VIEWS[store.kind]:
        store.execute(statement)
    with pytest.raises(StorageError, match=r"is a .*view"):
        write(store.connection, [1, 2], table="v")
    assert store.rows() == [(NOON, 0)]


@pytest.mark.parametrize("store", POSTGRES, indirect=True)
def test_partitions_and_partial_indexes_keep_what_they_get(store):
    """Parts of a table are the table; a unique index over some of its rows refuses, and nothing is lost."""
    store.execute(
        'CREATE TABLE events ("at" timestamptz, n bigint) PARTITION BY RANGE ("at");'
        "CREATE TABLE november PARTITION OF events FOR VALUES FROM ('2026-11-01') TO ('2026-12-01');"
        "CREATE UNIQUE INDEX ON november (n) WHERE n > 5"
    )
    for _ in range(2):
        assert write(store.connection, [1, 1, 6]).rows == 3
    with pytest.raises(StorageError, match=r"duplicate key|unique"):
        write(store.connection, [7, 7])
    assert [row[1] for row in store.rows()] == [1, 1, 6]


@pytest.mark.parametrize("store", ["plain"], indirect=True)
def test_a_driver_that_shifts_times_is_reported(store):
    """Naive instants in a column with zones would be moved by the session's; then nothing is changed."""
    store.execute('CREATE TABLE events ("at" timestamptz, n bigint)')
    _execute(store.connection, "SET TIME ZONE 'Asia/Kathmandu'")
    with pytest.raises(StorageError, match="came out of 'at' as"):
        write(store.connection, [1])
    assert store.rows() == []
    _execute(store.connection, "SET TIME ZONE 'UTC'")
