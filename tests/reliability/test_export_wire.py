"""Every exchange of an export job breaks in every way, to the service and to the object store: tries end in the true rows, once."""

from __future__ import annotations

from contextlib import nullcontext

import duckdb
import pytest

from tests.broken_wires import OF_FILES
from tests.fault_proxy import Fault, FaultProxy, hashed
from tests.orchestration.s3_server import s3_server
from tests.reliability.exporting import NIGHT, Memory, exported, true_ids
from vectorshift import Client, VectorshiftError
from vectorshift_orchestration.errors import PublishError
from vectorshift_orchestration.exports import ExportOptions, ExportRequest, resume
from vectorshift_orchestration.landing import Landing

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


@pytest.fixture(scope="module")
def nightly(service):
    """A service whose exports are ready at the second look."""
    service.settings(export_mode="async", export_delay=0)
    yield service
    service.reset()


@pytest.mark.parametrize("format", ["CSV", "JSON", "XLSX"])
def test_an_export_lands_the_truth_whichever_exchange_breaks(
    nightly, format, tmp_path, record_faults
):
    """Each exchange with the service, the file's included, is broken in each way: same rows, same file, at most two exports more."""
    service = nightly
    with (
        duckdb.connect(config={"threads": 1}) as database,
        FaultProxy.before(service.base_url) as proxy,
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
        seen.compare(true_ids(service), [span_id for span_id, _ in rows])
        for _ in proxy.everywhere(FAULTS if format == "CSV" else FAULTS[1::4], 4):
            landed = run(f"{proxy.origin}/v1")
            assert landed.recreated <= 2
            seen.compare(rows, hashed(database))
            assert format == "XLSX" or (tmp_path / "lake" / "events").read_bytes() == file
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("rest", [name for name in OF_FILES if name.startswith("F8")])
def test_a_rest_that_is_none_is_not_joined_to_the_beginning(nightly, rest, tmp_path, record_faults):
    """A download that breaks, and is answered with 416, another part or all of something for its rest, begins again (F8)."""
    service = nightly

    def content(base_url):
        landing = Landing(destination=tmp_path / "events")
        exported(base_url, service.api_key, "CSV", tmp_path / "work", landing)
        return (tmp_path / "events").read_bytes()

    with FaultProxy.before(service.base_url) as proxy, record_faults(proxy) as seen:
        truth = content(service.base_url)
        proxy.plan(*OF_FILES[rest])
        seen.compare([truth], [content(f"{proxy.origin}/v1")])


@pytest.mark.parametrize("route", ["export_create", "export_poll"])
def test_a_job_without_an_answer_ends_with_its_time(nightly, route, tmp_path, record_overshoot):
    """Silence of the service does not outlast the job's time by more than two seconds (F4)."""
    service, seconds = nightly, 1.0
    service.fault(route, "hang", times=0)
    with Client(service.api_key, service.base_url, total_timeout=seconds) as client:
        request = ExportRequest(client.query().to_dict(), NIGHT)
        options = ExportOptions(timeout=seconds, poll_interval=0.01)
        with record_overshoot(seconds), pytest.raises(VectorshiftError):
            resume(
                client,
                request,
                Landing(destination=tmp_path / "events"),
                Memory(),
                directory=tmp_path / "work",
                options=options,
            )
    service.clear_faults()


def test_an_object_is_old_or_new_whichever_exchange_breaks(tmp_path, record_faults):
    """Each exchange with the store is broken in each way: what is read then is whole, and new where the upload succeeded."""
    from vectorshift_orchestration.storage.files import publish

    def content(number):
        return f"{number}\n".encode() * 1000

    source = tmp_path / "source"
    with s3_server() as store, FaultProxy(store.port) as proxy, record_faults(proxy) as seen:
        straight = store.path("lake/events.csv")
        straight.fs.mkdir("lake")
        port, held = store.port, content(0)
        source.write_bytes(content(0))
        publish(source, straight)
        for number, _ in enumerate(proxy.everywhere(UPLOADS), 1):
            source.write_bytes(content(number))
            store.port = proxy.port
            target = store.path("lake/events.csv", skip_instance_cache=True)
            store.port = port
            try:
                publish(source, target)
                allowed = {content(number)}
            except PublishError:
                allowed = {content(number), held}
            straight.fs.invalidate_cache()
            held = straight.read_bytes()
            seen.compare([True], [held in allowed])
