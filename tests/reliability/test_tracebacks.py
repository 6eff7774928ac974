"""Keys, passwords and signed addresses are in no traceback, although it prints every variable of every frame."""

from __future__ import annotations

import io
import re
import secrets
import socket
import traceback
from contextlib import closing

import psycopg
import pytest
from rich.console import Console
from rich.traceback import Traceback

from tests.days import LAST_MIDNIGHT
from tests.reliability.exporting import NIGHT, Memory
from vectorshift import Client, Retry
from vectorshift_emulator import serve
from vectorshift_orchestration.exports import ExportOptions, ExportRequest, resume
from vectorshift_orchestration.landing import Landing

KEY, PASSWORD = (f"{name}_canary_{secrets.token_hex(12)}" for name in ("sk", "pw"))
SECRET = re.compile(rf"{KEY}|{PASSWORD}|signature=[0-9A-Za-z_-]{{6}}")
WIDE = 10_000


@pytest.fixture(scope="module")
def service():
    """An account whose key is a canary."""
    with serve(events=2000, days=2, end=LAST_MIDNIGHT, api_key=KEY) as made:
        made.settings(export_delay=0)
        yield made


def with_locals(error):
    """A traceback as Python, and as rich, print it with all variables."""
    plain = traceback.TracebackException.from_exception(error, capture_locals=True)
    printed = io.StringIO()
    options = {"show_locals": True, "locals_max_string": None, "locals_max_length": None}
    rich = Traceback.from_exception(
        type(error), error, error.__traceback__, width=WIDE, code_width=WIDE, **options
    )
    Console(file=printed, width=WIDE).print(rich)
    return {"python": "".join(plain.format()), "rich": printed.getvalue()}


class Interrupted(BaseException):
    """What stops a process, such as Airflow's time-out of a task or Ctrl-C."""


def raised(service, tmp_path, *, connect=None, **options):
    """What a whole export job ends with."""
    settings = {"retry": Retry(attempts=2, first_wait=0.0), "timeout": 0.4, "time_precision": "us"}
    landing = (
        Landing(destination=tmp_path / "events.csv")
        if connect is None
        else Landing(table="events", connect=connect)
    )
    with Client(KEY, service.base_url, **settings) as client:
        request = ExportRequest(client.query().to_dict(), NIGHT)
        with pytest.raises((Exception, Interrupted)) as caught:
            resume(
                client,
                request,
                landing,
                Memory(),
                directory=tmp_path / "work",
                options=ExportOptions(timeout=1, poll_interval=0.01),
                **options,
            )
    return caught.value


def controlled(error):
    """An error that another one caused, with a secret in a variable of its frame."""
    try:
        control = KEY
        raise ValueError(len(control)) from error
    except ValueError as made:
        return made


def assert_no_secret(error):
    """And the search would find one that is there."""
    found = with_locals(controlled(error))
    assert all(SECRET.search(text) for text in found.values())
    for name, text in with_locals(error).items():
        where = SECRET.search(text)
        assert where is None, f"{name}: ...{text[max(0, where.start() - 300) : where.end()]}"


@pytest.mark.parametrize(
    ("route", "kind", "options"),
    [
        ("export_create", "status", {"code": 401}),
        ("export_create", "not_json", {}),
        ("export_poll", "status", {"code": 500}),
        ("export_poll", "never_ready", {}),
        ("count", "hang", {}),
        ("download", "status", {"code": 403}),
        ("download", "truncate", {"fraction": 0.5}),
        ("download", "hang", {"fraction": 0.5}),
        ("download", "reset", {"fraction": 0.5}),
        ("download", "flip_byte", {}),
        ("download", "html_200", {}),
    ],
)
def test_a_fault_of_the_service(service, tmp_path, route, kind, options):
    """However the service fails, the traceback tells no secret."""
    service.fault(route, kind, times=0, **options)
    try:
        assert_no_secret(raised(service, tmp_path))
    finally:
        service.clear_faults()


def test_a_callers_error_during_the_download(service, tmp_path):
    """What a caller's own function raises goes through the frames of the download."""

    def progress(kind, _):
        if kind == "bytes":
            raise KeyError("mine")

    error = raised(service, tmp_path, progress=progress)
    assert isinstance(error, KeyError)
    assert_no_secret(error)


@pytest.mark.parametrize("at", [b"/exports", b"signature="])
def test_an_interrupt(service, tmp_path, monkeypatch, at):
    """Stopped while it waits for an answer of the API or of the file server."""
    sendall, send = socket.socket.sendall, socket.socket.send

    def stop(real):
        def sent(self, data, *arguments):
            if at in bytes(data):
                raise Interrupted
            return real(self, data, *arguments)

        return sent

    monkeypatch.setattr(socket.socket, "sendall", stop(sendall))
    monkeypatch.setattr(socket.socket, "send", stop(send))
    error = raised(service, tmp_path)
    assert isinstance(error, Interrupted)
    assert_no_secret(error)


def test_a_database_that_is_not_there(service, tmp_path):
    """The password of the connection string is the caller's; none of our frames repeats it."""
    url = f"postgresql://loader:{PASSWORD}@127.0.0.1:1/warehouse"
    error = raised(service, tmp_path, connect=lambda: closing(psycopg.connect(url)))
    frames = with_locals(error)["python"].split("  File ")
    ours = [frame for frame in frames if "/src/vectorshift" in frame]
    assert ours
    assert not [frame for frame in ours if PASSWORD in frame]
