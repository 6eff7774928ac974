"""Every exchange of an export job breaks in every way, to the service and to the object store: tries end in the true rows, once."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from datetime import timedelta
from itertools import count

import duckdb
import pytest

from tests.days import LAST_MIDNIGHT
from tests.fault_proxy import Fault, FaultProxy
from tests.orchestration.s3_server import s3_server
from vectorshift import Client, Retry, VectorshiftError
from vectorshift_orchestration.errors import PublishError
from vectorshift_orchestration.exports import ExportOptions, ExportRequest, resume
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.windows import Window

NIGHT = Window(LAST_MIDNIGHT - timedelta(hours=2), LAST_MIDNIGHT)
QUICK = {"retry": Retry(attempts=3, first_wait=0.0), "timeout": 0.5, "time_precision": "us"}
FAULTS = [
    Fault("lost request"),
    Fault("lost reply"),
    Fault("reset", at=0.5),
    Fault("cut", at=0),
    Fault("cut", at=0.9),
    Fault("hang", at=0.5),
    Fault("corrupt", at=12),
    Fault("corrupt", at=0.5),
    Fault("corrupt", at=1.0),
    Fault("slow", seconds=0.001),
    Fault("twice"),
]
UPLOADS = [
    fault for fault in FAULTS if fault.kind in ("lost request", "lost reply", "reset", "cut")
]
"""How long a store may be silent is for its driver to say."""
MOST_TRIES = 3


class Memory:
    """The record of a job, for tries in this process."""

    def __init__(self):
        self.state = None

    def read(self):
        return self.state

    def write(self, state):
        self.state = state

    def discard(self):
        self.state = None


def exported(base_url, key, format, folder, landing):
    """Run the job until it succeeds, as an orchestrator's retries do; what it landed."""
    record = Memory()
    for _ in range(MOST_TRIES):
        with Client(key, base_url, **QUICK) as client:
            request = ExportRequest(client.query().to_dict(), NIGHT, format)
            options = ExportOptions(timeout=30, poll_interval=0.001)
            try:
                return resume(client, request, landing, record, directory=folder, options=options)
            except VectorshiftError as error:
                told = error
    raise told


@pytest.fixture(scope="module")
def nightly(service):
    """A service whose exports are ready at the second look, and its port."""
    service.settings(export_mode="async", export_delay=0)
    yield service, int(service.base_url.split(":")[2].split("/")[0])
    service.reset()


def hashed(connection):
    """Each row as its span id and the hash of everything in it."""
    return [
        (row[0], hashlib.sha256(repr(row).encode()).hexdigest())
        for row in connection.execute("SELECT span_id, * FROM events").fetchall()
    ]


@pytest.mark.parametrize("format", ["CSV", "JSON", "XLSX"])
def test_an_export_lands_the_truth_whichever_exchange_breaks(
    nightly, format, tmp_path, record_faults
):
    """Each exchange with the service, the file's included, is broken in each way: same rows, same file, at most two exports more."""
    service, port = nightly
    with (
        duckdb.connect(config={"threads": 1}) as database,
        FaultProxy(port) as proxy,
        record_faults(proxy) as seen,
    ):
        landing = Landing(
            destination=tmp_path / "lake" / "events",
            table="events",
            connect=lambda: nullcontext(database),
        )

        def run(base_url):
            return exported(base_url, service.api_key, format, tmp_path / "work", landing)

        run(service.base_url)
        rows, file = hashed(database), (tmp_path / "lake" / "events").read_bytes()
        truth = service.truth(
            f"SELECT span_id FROM events WHERE start_time >= '{NIGHT.start:%F %T}'"
            f" AND start_time < '{NIGHT.end:%F %T}'"
        )
        seen.compare([row["span_id"] for row in truth], [span_id for span_id, _ in rows])
        for fault in FAULTS if format == "CSV" else FAULTS[1::4]:
            for place in count():
                proxy.plan(Fault(fault.kind, skip=place, at=fault.at, seconds=fault.seconds))
                landed = run(f"{proxy.origin}/v1")
                assert landed.recreated <= 2
                seen.compare(rows, hashed(database))
                assert format == "XLSX" or (tmp_path / "lake" / "events").read_bytes() == file
                if proxy.forgotten():
                    break  # the job has no more exchanges
            assert place >= 4
    assert list((tmp_path / "work").iterdir()) == []


def test_an_object_is_old_or_new_whichever_exchange_breaks(tmp_path, record_faults):
    """Each exchange with the store is broken in each way: what is read then is whole, and new where the upload succeeded."""
    from vectorshift_orchestration.storage.files import publish

    def content(number):
        return f"{number}\n".encode() * 1000

    source = tmp_path / "source"
    with s3_server() as store, FaultProxy(store.port) as proxy, record_faults(proxy) as seen:
        straight = store.path("lake/events.csv")
        straight.fs.mkdir("lake")
        port, number, held = store.port, 0, content(0)
        source.write_bytes(content(0))
        publish(source, straight)
        for fault in UPLOADS:
            for place in count():
                number += 1
                source.write_bytes(content(number))
                store.port = proxy.port
                target = store.path("lake/events.csv", skip_instance_cache=True)
                store.port = port
                proxy.plan(Fault(fault.kind, skip=place, at=fault.at, seconds=fault.seconds))
                try:
                    publish(source, target)
                    allowed = {content(number)}
                except PublishError:
                    allowed = {content(number), held}
                straight.fs.invalidate_cache()
                held = straight.read_bytes()
                seen.compare([True], [held in allowed])
                if proxy.forgotten():
                    break
            assert place >= 1
