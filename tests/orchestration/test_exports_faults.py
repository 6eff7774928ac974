"""Files that were cut, changed or mixed up on their way: each is noticed, and none is published.

They are sent by a server of our own over real sockets.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.days import MIDNIGHT
from tests.orchestration.file_server import CUTS, announced, closing, file_server, whole
from tests.orchestration.rows import as_cell, write_xlsx
from vectorshift import Client
from vectorshift._retry import Retry
from vectorshift.errors import AnalyticsDownloadFailed
from vectorshift_orchestration.errors import ExportFileError, ExportIncomplete
from vectorshift_orchestration.exports import ExportRequest
from vectorshift_orchestration.exports.fetch import submit
from vectorshift_orchestration.exports.staging import stage
from vectorshift_orchestration.landing import Landing
from vectorshift_orchestration.windows import Window

DAY = Window(MIDNIGHT - timedelta(days=1), MIDNIGHT)
BEFORE = Window(DAY.start - DAY.width, DAY.start)
FORMATS = ("CSV", "JSON", "XLSX")
NOTICED = (AnalyticsDownloadFailed, ExportFileError, ExportIncomplete)


@pytest.fixture(scope="module")
def service(vectorshift_emulator_session):
    vectorshift_emulator_session.settings(export_mode="sync")
    yield vectorshift_emulator_session
    vectorshift_emulator_session.reset()


@pytest.fixture(scope="module")
def client(service):
    retry = Retry(attempts=2, first_wait=0)
    with Client(api_key=service.api_key, base_url=service.base_url, retry=retry) as opened:
        yield opened


@pytest.fixture(scope="module")
def bodies(client, tmp_path_factory):
    """The service's own file of the day in each format, and of the day before."""
    folder = tmp_path_factory.mktemp("bodies")
    result = {}
    for format in FORMATS:
        for window in (DAY, BEFORE):
            task = submit(client, asked(client, format, window))
            path = client.download_export(task, folder / "file").path
            result[format, window] = path.read_bytes().rstrip() + b"\n" * (format == "CSV")
    return result


@pytest.fixture(scope="module")
def server():
    with file_server() as started:
        yield started


def asked(client, format="CSV", window=DAY, **filters):
    return ExportRequest(client.query().where(**filters).to_dict(), window, format)


def landed(client, server, request, folder):
    """Stage what the server sends and publish it."""
    staged = stage(client, {"download_url": server.url}, request, folder / "work")
    landing = Landing(destination=folder / "published" / "file")
    return landing.write_export(staged, request.window), staged


def left(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.__name__)
def test_a_body_that_is_too_short_is_never_published(client, server, bodies, tmp_path, cut, format):
    """Five ways to send too little, cut at 0, 1, 25 %, 50 % and n-1 bytes: 0 published."""
    body, request = bodies[format, DAY], asked(client, format)
    for stored in (0, 1, len(body) // 4, len(body) // 2, len(body) - 1):
        server.reply = cut(body, stored)
        with pytest.raises(NOTICED):
            landed(client, server, request, tmp_path)
        assert left(tmp_path) == []
    server.reply = announced(body, len(body))
    done, staged = landed(client, server, request, tmp_path)
    assert done.rows == staged.counted > 50


@pytest.mark.parametrize("format", ["CSV", "JSON"])
def test_rows_that_are_lost_between_sound_ones_are_counted(
    client, server, bodies, tmp_path, format
):
    """A well-formed file of fewer rows, honestly framed, is told by the service's count."""
    request = asked(client, format)
    if format == "CSV":
        header, *rows = bodies[format, DAY].decode().splitlines(keepends=True)
    else:
        rows = json.loads(bodies[format, DAY])
    for lost in (1, len(rows) // 4, len(rows) // 2, len(rows)):
        stored = rows[lost:]
        text = header + "".join(stored) if format == "CSV" else json.dumps(stored)
        server.reply = whole(text.encode())
        with pytest.raises(ExportIncomplete, match="export again") as caught:
            landed(client, server, request, tmp_path)
        assert (caught.value.rows, caught.value.counted) == (len(stored), len(rows))
        assert left(tmp_path) == []


@pytest.mark.parametrize("format", FORMATS)
def test_a_row_that_is_there_twice_is_refused(client, server, bodies, tmp_path, format):
    """As many rows as counted, but one twice and one missing: the span ids tell."""
    rows = json.loads(bodies["JSON", DAY])
    rows[-1] = rows[3]
    write = {"CSV": _csv, "JSON": lambda rows: json.dumps(rows).encode(), "XLSX": _xlsx}[format]
    server.reply = whole(write(rows))
    with pytest.raises(ExportIncomplete, match=f"Row {len(rows)} .* span id of an earlier row"):
        landed(client, server, asked(client, format), tmp_path)
    assert left(tmp_path) == []


def _csv(rows):
    cells = [[str(as_cell(value) or "").replace('"', '""') for value in r.values()] for r in rows]
    lines = [",".join(rows[0]), *(",".join(f'"{cell}"' for cell in line) for line in cells)]
    return ("\n".join(lines) + "\n").encode()


def _xlsx(rows):
    with TemporaryDirectory() as folder:
        return write_xlsx(Path(folder) / "f.xlsx", rows).read_bytes()


@pytest.mark.parametrize("mask", [0xFF, 0x01])
@pytest.mark.parametrize("format", FORMATS)
def test_a_flipped_byte_is_noticed_where_it_can_be(client, server, bodies, tmp_path, format, mask):
    """With a checksum every flip is noticed. Without one, what passes says so and counts right.

    A flip inside of a text leaves a sound file: `verified` then tells that no checksum came.
    """
    body, request = bodies[format, DAY], asked(client, format)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    seen = Counter()
    for place in range(0, len(body), len(body) // 12):
        flipped = bytearray(body)
        flipped[place] ^= mask
        server.reply = whole(bytes(flipped), f"Repr-Digest: sha-256=:{digest}:")
        with pytest.raises(AnalyticsDownloadFailed, match="checksum"):
            landed(client, server, request, tmp_path)
        assert left(tmp_path) == []
        server.reply = whole(bytes(flipped))
        try:
            done, staged = landed(client, server, request, tmp_path)
        except NOTICED:
            seen["noticed"] += 1
            assert left(tmp_path) == []
        else:
            seen["passed"] += 1
            assert (staged.verified, done.rows) == ("length", staged.counted)
            staged.path.unlink()
            (tmp_path / "published" / "file").unlink()
    assert seen["noticed"] > 0
    assert mask == 1 or seen["noticed"] > seen["passed"]  # few bytes above 0x7F are UTF-8 there


def test_what_the_server_gave_to_verify_by_is_recorded(client, server, bodies, tmp_path):
    """No length and no checksum is let pass where the content is right, and the result says it."""
    body, request = bodies["CSV", DAY], asked(client)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    signed = whole(body, f"Repr-Digest: sha-256=:{digest}:")
    unsaid = closing(body, len(body))
    for reply, verified in ((signed, "checksum"), (whole(body), "length"), (unsaid, "none")):
        server.reply = reply
        _, staged = landed(client, server, request, tmp_path)
        assert staged.verified == verified


@pytest.mark.parametrize("format", FORMATS)
def test_another_file_is_never_published(client, server, bodies, tmp_path, format):
    """The window before, another query's file, another format, nothing, a login page: refused."""
    narrow = stage(
        client,
        submit(client, asked(client, format, status="failure")),
        asked(client, format, status="failure"),
        tmp_path / "narrow",
    )
    others = [
        bodies[format, BEFORE],
        narrow.path.read_bytes(),
        bodies[FORMATS[FORMATS.index(format) - 1], DAY],
        b"",
        b"\n",
        b"<!DOCTYPE html><html><body>Please log in</body></html>\n",
        b"<html><body>Please log in</body></html>\n",
        b'{"status":"failed","error":"gone"}\n',
    ]
    narrow.path.unlink()
    for body in others:
        server.reply = whole(body)
        with pytest.raises(NOTICED):
            landed(client, server, asked(client, format), tmp_path)
        assert left(tmp_path) == []


@pytest.mark.parametrize("kind", ["wrong_file", "empty_200", "html_200", "truncate", "reset"])
def test_the_emulators_own_faults_are_noticed(service, client, tmp_path, kind):
    """The same by the emulator's faults, which count what they injected."""
    submit(client, asked(client, window=BEFORE))
    task = submit(client, asked(client))
    options = {"fraction": 0.5} if kind in ("truncate", "reset") else {}
    service.fault("download", kind, times=0, **options)
    try:
        with pytest.raises(NOTICED):
            stage(client, task, asked(client), tmp_path)
        assert service.faults()[0]["injected"] > 0
        assert left(tmp_path) == []
    finally:
        service.clear_faults()
