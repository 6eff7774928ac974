"""The wire to PostgreSQL breaks at every exchange of a write, in every way, under every driver: all old or all new, and told."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from itertools import count

import psycopg
import psycopg2
import pytest
from adbc_driver_postgresql import dbapi
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests import mariadb, plain_driver
from tests.fault_proxy import Fault, FaultProxy
from tests.orchestration.conftest import uri
from tests.orchestration.rows import DAY, batch
from tests.reliability.exporting import exported, opened, true_ids
from vectorshift_orchestration.errors import CommitUnknownError, StorageError
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.storage.ledger import committed
from vectorshift_orchestration.storage.sql import begin_attempt, overwrite_window

DRIVERS = {
    "psycopg": psycopg.connect,
    "psycopg2": psycopg2.connect,
    "adbc": lambda conninfo: dbapi.connect(uri(conninfo)),
    "any DB-API": plain_driver.Connection,
}
BREAKS = [
    Fault("lost request"),
    Fault("lost reply"),
    Fault("unanswered"),
    Fault("reset", at=3),
    Fault("cut", at=3),
]
DELAYS = [Fault("late"), Fault("slow", seconds=0.001), Fault("drip", seconds=0.0001)]
STEPS = {driver: 3 if driver == "adbc" else 1 for driver in DRIVERS}
"""One exchange out of so many is broken; ADBC asks the server much whenever it connects."""
FEWEST = 12
"""Exchanges of the shortest write."""


@pytest.fixture
def wire(postgres):
    """A proxy before the server, and connection strings through it and past it."""
    parts = conninfo_to_dict(postgres)
    with FaultProxy(int(str(parts["port"])), str(parts["host"])) as proxy:
        yield proxy, make_conninfo(postgres, host="127.0.0.1", port=proxy.port), postgres


def write(connection, mark, **options):
    """Replace the day by three rows that bear a mark."""
    rows = [batch([DAY.start] * 3, n=[mark] * 3)]
    return overwrite_window(connection, "events", DAY, rows, time_column="at", **options)


def table(straight):
    """The marks of the table's rows, and how many the ledger tells."""
    with psycopg.connect(straight) as look:
        marks = [row[0] for row in look.execute("SELECT n FROM events").fetchall()]
        return marks, committed(look, "events", DAY).rows


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_write_is_old_or_new_and_told_wherever_its_wire_breaks(driver, wire, record_faults):
    """With a way to ask again, what is returned or raised is what the table holds, at each exchange and for each break."""
    proxy, weak, straight = wire
    with psycopg.connect(straight) as setup:
        write(setup, 0)
    connect, holds, done = DRIVERS[driver], 0, 0
    with record_faults(proxy) as seen:
        for number, fault in enumerate(BREAKS[: len(BREAKS) // STEPS[driver] + 1]):
            for place in count(number, STEPS[driver]):
                mark, connection = holds + 1, connect(weak)
                proxy.plan(Fault(fault.kind, skip=place, at=fault.at))
                try:
                    write(connection, mark, reconnect=lambda: connect(straight))
                except CommitUnknownError:
                    raise
                except StorageError:
                    expected = holds
                else:
                    expected = mark
                    done += not proxy.pending
                with suppress(connection.Error if driver == "adbc" else Exception):
                    connection.close()  # a driver may refuse to close what is lost
                marks, told = table(straight)
                seen.compare([expected] * 3, marks)
                assert told == 3, (fault, place)
                holds = marks[0]
                if proxy.forgotten():
                    break  # the write has no more exchanges
            assert place >= FEWEST
    assert done > 0 or STEPS[driver] > 1  # a COMMIT that was done although nobody heard of it


@pytest.mark.parametrize("kind", ["lost reply", "unanswered", "lost request"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_commit_without_an_answer_is_looked_up_under_every_driver(
    driver, kind, wire, record_faults
):
    """The wire breaks on COMMIT: the ledger tells whether it was done; without a way to ask, the error says that nobody knows."""
    proxy, weak, straight = wire
    connect, holds = DRIVERS[driver], 0
    with closing(connect(straight)) as setup:
        write(setup, holds)
    with record_faults(proxy) as seen:
        for can_ask in (True, False):
            again = {"reconnect": lambda: connect(straight)} if can_ask else {}
            connection, mark = connect(weak), holds + 1
            # A driver that commits what it prepared first does so by the first COMMIT.
            proxy.plan(Fault(kind, on=b"COMMIT\0", skip=int(driver == "any DB-API")))
            arrived = kind != "lost request"
            if can_ask and arrived:
                write(connection, mark, **again)
            else:
                error = StorageError if can_ask else CommitUnknownError
                with pytest.raises(error, match=r"not done|not known which"):
                    write(connection, mark, **again)
            with suppress(connection.Error if driver == "adbc" else Exception):
                connection.close()
            holds = mark if arrived else holds
            with closing(connect(straight)) as look:
                attempt = begin_attempt(look, "events", DAY)  # waits for whoever is at its COMMIT
                assert attempt
            seen.compare([holds] * 3, table(straight)[0])


LOST_COMMITS = [Fault(kind, on=b"COMMIT") for kind in ("lost request", "lost reply", "unanswered")]


def lands(service, connect, weak, straight, seen, folder):
    """An export of the night through the weak address lands its true rows."""
    landing = Landing(table="events", connect=partial(opened, connect, weak))
    exported(service.base_url, service.api_key, "CSV", folder, landing)
    with opened(connect, straight) as look, closing(look.cursor()) as cursor:
        cursor.execute("SELECT span_id FROM events")
        seen.compare(true_ids(service), [row[0] for row in cursor.fetchall()])
        cursor.execute("DELETE FROM events")
        look.commit()


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_export_lands_wherever_its_database_breaks(
    driver, wire, service, tmp_path, record_faults
):
    """The whole job through a broken wire: on COMMIT in three ways, and reset at places all the way through it; each row once."""
    proxy, weak, straight = wire
    with record_faults(proxy) as seen:
        land = partial(lands, service, DRIVERS[driver], weak, straight, seen, tmp_path)
        land()
        for fault in LOST_COMMITS:
            for skip in range(2):
                proxy.plan(replace(fault, skip=skip))
                land()
                assert not proxy.pending
        for place in range(0, 60, 7):
            proxy.plan(Fault("reset", at=3, skip=place))
            land()
            if proxy.forgotten():
                break  # the job has no more exchanges
        assert place >= 14


@pytest.fixture(scope="module")
def mariadb_port():
    """A server of its own."""
    with mariadb.server() as port:
        yield port


@pytest.mark.parametrize("driver", ["pymysql", "mysql-connector"])
def test_an_export_lands_wherever_mariadb_breaks(
    driver, mariadb_port, service, tmp_path, record_faults
):
    """As with PostgreSQL, by the drivers that speak the protocol themselves."""
    connect = partial(mariadb.DRIVERS[driver], database="lake")
    with closing(mariadb.by_pymysql(mariadb_port)) as setup, closing(setup.cursor()) as cursor:
        cursor.execute("CREATE OR REPLACE DATABASE lake")
    with FaultProxy(mariadb_port) as proxy, record_faults(proxy) as seen:
        land = partial(lands, service, connect, proxy.port, mariadb_port, seen, tmp_path)
        land()
        for fault in LOST_COMMITS:
            proxy.plan(fault)
            land()
        for place in range(0, 30, 5):
            proxy.plan(Fault("reset", at=3, skip=place))
            land()


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_slow_wire_changes_nothing(driver, wire, record_faults):
    """Replies that come late, in pieces or byte by byte are the same replies."""
    proxy, weak, straight = wire
    with record_faults(proxy) as seen, closing(DRIVERS[driver](weak)) as connection:
        for mark, fault in enumerate(DELAYS * 4):
            proxy.plan(*[Fault(fault.kind, seconds=fault.seconds)] * 5)
            write(connection, mark)
            marks, _ = table(straight)
            seen.compare([mark] * 3, marks)
