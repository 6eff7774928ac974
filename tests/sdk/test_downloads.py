"""Downloading an export: whole and verified at its path, or an error and no file at all."""

import asyncio
import base64
import gzip
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
import zipfile
from io import BytesIO
from urllib.parse import quote

import pytest

from tests.sdk.conftest import IMPATIENT
from tests.sdk.scripted import Answer, in_turn
from vectorshift import (
    AnalyticsDownloadFailed,
    AnalyticsExportFailed,
    AnalyticsInvalidQuery,
    AnalyticsNotFound,
    Client,
    Download,
    Retry,
)

CSV = b"span_id,text\n" + b"".join(b'sp_%d,"a ""b"" c\nd"\n' % n for n in range(2000))
SHA256 = hashlib.sha256(CSV).digest()


def workbook():
    """The bytes of a zip archive, which is what a workbook is."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", "<sheetData/>" * 500)
    return buffer.getvalue()


class Files:
    """A file server's script: the API's poll route, and a file whose signed URL ends and which may change."""

    def __init__(self, service, content=CSV, etag='"v1"'):
        self.service = service
        self.content = content
        self.etag = etag
        self.headers = {}
        self.signature = 1
        self.answers = []
        self.format = "CSV"

    @property
    def url(self):
        return self.service.base_url.removesuffix("/v1") + f"/files/x?sig=deadbeef{self.signature}"

    @property
    def task(self):
        return {
            "task_id": "ex_1",
            "task_status": "ready",
            "format": self.format,
            "download_url": self.url,
        }

    @property
    def gets(self):
        return [each for each in self.service.requests if each.path.startswith("/files")]

    def __call__(self, request):
        if request.path.startswith("/analytics/exports/"):
            self.signature += 1
            return Answer({"status": "success"} | self.task)
        if self.answers:
            answer = self.answers.pop(0)
            return answer(request) if callable(answer) else answer
        if not request.path.endswith(f"sig=deadbeef{self.signature}"):
            return Answer(b"expired", 403)
        return self.file(request)

    def file(self, request):
        requested = request.headers.get("range")
        headers = {"ETag": self.etag} | self.headers
        if requested and request.headers.get("if-range") == self.etag:
            start = int(requested.removeprefix("bytes=").removesuffix("-"))
            size = len(self.content)
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
            return Answer(self.content[start:], 206, headers)
        return Answer(self.content, 200, headers)

    def broken(self, share, etag=True):
        """An answer that announces the whole file and breaks off after a share of it."""
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.content)}\r\n"
        head += f"ETag: {self.etag}\r\n\r\n" if etag else "\r\n"
        return Answer(raw=[head.encode(), self.content[: int(len(self.content) * share)]])


@pytest.fixture
def files(service):
    """The file server; `files.task` is a ready export."""
    files = service.script = Files(service)
    return files


@pytest.fixture(params=["blocking", "awaiting"])
def fetch(request, scripted, tmp_path):
    """download_export to a path in an empty directory, in both ways."""

    def call(task, name="out.csv", **options):
        path = tmp_path / name
        if request.param == "blocking":
            return scripted.download_export(task, path, **options)
        return asyncio.run(scripted.adownload_export(task, path, **options))

    return call


@pytest.fixture
def failed(fetch, tmp_path):
    """Assert that a download fails with a reason and leaves the directory as it was."""

    def check(task, reason, **options):
        (tmp_path / "out.csv").write_bytes(b"yesterday\n")
        with pytest.raises(AnalyticsDownloadFailed, match=reason) as caught:
            fetch(task, **options)
        assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]
        assert (tmp_path / "out.csv").read_bytes() == b"yesterday\n"
        assert "sig=" not in str(caught.value) + repr(vars(caught.value))
        assert "No file was written" in str(caught.value)
        return caught.value

    return check


def test_a_file_arrives_whole(fetch, files, tmp_path):
    """The result tells path, size, SHA-256, task and format; nothing else is left; no key reaches the file server."""
    done = fetch(files.task)
    path = tmp_path / "out.csv"
    assert done == Download(path, len(CSV), SHA256.hex(), "ex_1", "CSV", "length")
    assert path.read_bytes() == CSV
    assert list(tmp_path.iterdir()) == [path]
    [get] = files.gets
    assert not {"authorization", "cookie", "x-api-key"} & set(get.headers)
    assert get.headers["accept-encoding"] == "identity"


def test_a_task_id_is_enough(fetch, files, tmp_path):
    """download_export takes the id of a task and asks for its URL; an existing file is replaced."""
    (tmp_path / "out.csv").write_bytes(b"yesterday")
    assert fetch("ex_1").sha256 == SHA256.hex()
    assert (tmp_path / "out.csv").read_bytes() == CSV


@pytest.mark.parametrize("format", ["CSV", "JSON", "XLSX"])
def test_exports_of_the_emulator_arrive(client, emulator, tmp_path, truth, format):
    """A real export of each format is downloaded and verified; it holds every matching event."""
    emulator.settings(export_delay=0.0)
    task = client.query(object_type="form").export_and_wait(format, "f", poll_interval=0.01)
    done = client.download_export(task, tmp_path / "out")
    assert done.bytes == (tmp_path / "out").stat().st_size
    if format == "JSON":
        rows = len(json.loads((tmp_path / "out").read_bytes()))
        assert rows == truth("SELECT count(*) FROM events WHERE entity = 'form'")


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.999])
def test_a_broken_transfer_is_resumed(fetch, files, share):
    """With a strong ETag the rest is requested, and the file is right; nothing is requested twice."""
    files.answers = [files.broken(share)]
    assert fetch(files.task).sha256 == SHA256.hex()
    first, second = files.gets
    offset = int(len(CSV) * share)
    assert "range" not in first.headers
    assert second.headers.get("range") == (f"bytes={offset}-" if offset else None)
    assert second.headers.get("if-range") == ('"v1"' if offset else None)


@pytest.mark.parametrize("etag", [None, 'W/"v1"'])
def test_a_broken_transfer_without_a_strong_etag_starts_again(fetch, files, etag):
    """Without proof that the file is the same, nothing is put together from two answers."""
    files.etag = etag or '"v1"'
    files.answers = [files.broken(0.5, etag=etag is not None)]
    assert fetch(files.task).sha256 == SHA256.hex()
    assert "range" not in files.gets[1].headers


def changed(files):
    """Make the file another one, with another ETag, and answer with it."""

    def answer(request):
        files.content, files.etag = CSV.replace(b"a", b"z"), '"v2"'
        return files.file(request)

    return answer


def test_a_file_that_changes_is_read_again_from_its_beginning(fetch, files):
    """A whole file in answer to a range means that it changed: the halves are not mixed."""
    files.answers = [files.broken(0.5), changed(files)]
    assert fetch(files.task).sha256 == hashlib.sha256(CSV.replace(b"a", b"z")).hexdigest()
    assert "range" not in files.gets[-1].headers


@pytest.mark.parametrize(
    "answer",
    [
        Answer(CSV[:50], 206, {"Content-Range": f"bytes 0-49/{len(CSV)}", "ETag": '"v1"'}),
        Answer(b"", 416, {"Content-Range": f"bytes */{len(CSV)}"}),
        Answer(b"busy", 503),
        Answer(CSV[:10], 206, {"ETag": '"v1"'}),
        Answer(b"", 206, {"Content-Range": "bytes 0-49/" + "9" * 5000, "ETag": '"v1"'}),
    ],
    ids=["another range", "416", "503", "no range", "a size of 5,000 digits"],
)
def test_a_wrong_answer_to_a_range_starts_again(fetch, files, answer):
    """A part that was not requested is never written."""
    files.answers = [files.broken(0.5), answer]
    assert fetch(files.task).sha256 == SHA256.hex()


CUTS = [0, 1, len(CSV) // 4, len(CSV) // 2 + 3, len(CSV) - 1]


def close_delimited(body):
    """An answer without a length, which ends when the connection does."""
    return Answer(raw=[b"HTTP/1.1 200 OK\r\n\r\n", body])


def chunked(body, end=b"0\r\n\r\n"):
    """An answer in chunks, properly ended by default."""
    chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    return Answer(raw=[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk, end])


FRAMINGS = {
    "length": lambda body: Answer(
        raw=[b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CSV), body]
    ),
    "length of the cut": Answer,
    "close": close_delimited,
    "chunks": chunked,
    "chunks cut": lambda body: chunked(body, b""),
    "gzip": lambda body: Answer(gzip.compress(body), headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_truncated_file_is_never_published(failed, service, files, framing):
    """However the cut is framed, and wherever it is, the download fails and yesterday's file stays."""
    task = {"download_url": files.url, "format": "CSV"}
    for cut in CUTS:
        service.script = lambda _, cut=cut: FRAMINGS[framing](CSV[:cut])
        failed(task, "failed")


JSON = json.dumps([{"users": ["a\\", 'b"]}'], "n": {"x": [1]}}] * 2, indent=1).encode()


def test_a_json_file_cut_anywhere_is_never_published(scripted, service, files, tmp_path):
    """Cut behind any bracket, quote or comma, JSON is not whole; uncut it is."""
    files.format = "JSON"
    scripted_task = {"download_url": files.url, "format": "JSON"}
    for cut in (n for n in range(1, len(JSON)) if JSON[n - 1] in b'[]{}",\\'):
        service.script = in_turn(Answer(JSON[:cut]))
        with pytest.raises(AnalyticsDownloadFailed, match="JSON is not closed"):
            scripted.download_export(scripted_task, tmp_path / "out.json")
    service.script = in_turn(Answer(JSON))
    assert scripted.download_export(scripted_task, tmp_path / "out.json").bytes == len(JSON)


def test_a_workbook_cut_or_changed_is_never_published(scripted, service, files, tmp_path):
    """A workbook's own directory and checksums are asked."""
    whole = workbook()
    flipped = bytearray(whole)
    flipped[60] ^= 0xFF
    task = {"download_url": files.url, "format": "XLSX"}
    for body in (whole[:-1], whole[: len(whole) // 2], bytes(flipped), b"PK"):
        service.script = in_turn(Answer(body))
        with pytest.raises(AnalyticsDownloadFailed, match="workbook"):
            scripted.download_export(task, tmp_path / "out.xlsx")
    service.script = in_turn(Answer(whole))
    assert scripted.download_export(task, tmp_path / "out.xlsx").bytes == len(whole)


MD5 = base64.b64encode(hashlib.md5(CSV).digest()).decode()
B64 = base64.b64encode(SHA256).decode()
CHECKSUMS = {
    "Content-MD5": MD5,
    "x-amz-checksum-sha256": B64,
    "Repr-Digest": f"md5=:{MD5}:, sha-256=:{B64}:",
    "Digest": f"SHA-256={B64}",
    "x-goog-hash": f"crc32c=AAAAAA==,md5={MD5}",
}


@pytest.mark.parametrize("header", CHECKSUMS)
def test_a_checksum_of_the_service_is_checked(fetch, failed, files, header):
    """A single byte that differs is seen when the service sends a checksum, and the header is named."""
    files.headers = {header: CHECKSUMS[header]}
    assert fetch(files.task).sha256 == SHA256.hex()
    files.content = CSV.replace(b"sp_7,", b"sp_8,")
    failed(files.task, f"(?i)checksum in {header}")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>Please log in</html>\n", "web page"),
        (b"\n <HTML lang=en>Please log in</HTML>\n", "web page"),
    ],
)
def test_what_is_not_an_export_is_refused(failed, files, body, reason):
    """An empty file and a login page are not exports."""
    files.content = body
    failed(files.task, reason)


@pytest.mark.parametrize("body", [b"null", b" null\n"])
def test_no_rows_of_a_go_service(fetch, files, body):
    """A nil slice is the JSON null, and whole."""
    files.content, files.format = body, "JSON"
    assert fetch(files.task).bytes == len(body)


@pytest.mark.parametrize("format", ["CSV", "JSON", "XLSX"])
def test_the_content_is_left_to_who_reads_all_of_it(fetch, failed, files, format):
    """Of no bytes, or cut: it arrives for who says that the content is checked behind the download, and for nobody else."""
    files.content, files.format = b"", format
    failed(files.task, "it is empty")
    assert fetch(files.task, check_content=False).bytes == 0
    files.content = b'[{"a": 1}, {'
    assert (
        fetch(files.task, check_content=False).sha256 == hashlib.sha256(files.content).hexdigest()
    )
    files.headers = {"Content-MD5": MD5}
    failed(files.task, "(?i)checksum in content-md5", check_content=False)


def test_an_expired_url_is_renewed(fetch, files):
    """A URL that ended is requested again, apart from the retries, and the rest resumed."""
    task = files.task
    files.signature = 5
    assert fetch(task).sha256 == SHA256.hex()
    expired = Answer(b"expired", 403)
    files.answers = [files.broken(0.5), expired, expired]
    assert fetch(files.task).sha256 == SHA256.hex()
    assert files.gets[-1].headers["range"] == f"bytes={len(CSV) // 2}-"


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_url_that_is_always_expired_fails(failed, files, status):
    """Three renewals are tried, then the error says what the file server said."""
    files.answers = [Answer(b"", status)] * 9
    error = failed(files.task, f"HTTP {status}")
    assert error.task_id == "ex_1"
    assert len(files.gets) == 4


def test_the_emulators_urls_expire(client, emulator, tmp_path):
    """A real signed URL that ended is renewed."""
    emulator.settings(export_delay=0.0)
    task = client.query(object_type="form").export_and_wait("CSV", "f", poll_interval=0.01)
    emulator.expire_urls()
    assert client.download_export(task, tmp_path / "out.csv").bytes > 0
    assert emulator.counters()["polls"] >= 1


def test_a_redirect_is_followed_by_hand(fetch, files):
    """Relative and absolute redirects are followed, three at most, still without credentials."""
    present = Answer(b"", 302, {"Location": f"/files/moved?sig=deadbeef{files.signature}"})
    files.answers = [present, present, present]
    assert fetch(files.task).sha256 == SHA256.hex()
    assert [get.path.partition("?")[0] for get in files.gets] == ["/files/x", *["/files/moved"] * 3]
    assert not any("authorization" in get.headers for get in files.gets)


@pytest.mark.parametrize("name", ["../../evil.csv", "/etc/evil.csv", "..\\evil.csv", "out.csv\0"])
def test_a_name_of_the_service_is_never_a_path(fetch, files, tmp_path, name):
    """What the service calls a file, in a task or in a header, decides nothing about where it lies."""
    files.headers["Content-Disposition"] = f'attachment; filename="{quote(name, safe="./")}"'
    assert fetch(files.task | {"file_name": name}).path == tmp_path / "out.csv"
    assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]
    assert not list(tmp_path.parent.glob("*evil*"))


def test_a_redirect_loop_ends(failed, files):
    """The fourth redirect is one too many."""
    files.answers = [Answer(b"", 302, {"Location": files.url})] * 30
    failed(files.task, "HTTP 302")
    assert len(files.gets) == 4


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "javascript:0"]
)
def test_a_redirect_to_another_scheme_is_refused(failed, files, target):
    """Only web addresses are fetched, wherever the address comes from."""
    files.answers = [Answer(b"", 302, {"Location": target})] * 9
    failed(files.task, "not an https address|location header|InvalidURL")
    failed(files.task | {"download_url": target}, "not an https address")


@pytest.mark.parametrize("target", ["http://[::1", "http://[", "//[/x"])
def test_a_redirect_that_cannot_be_read_is_an_error_of_ours(failed, files, target):
    """A Location with half an address in it is not worth a ValueError of the standard library."""
    files.answers = [Answer(b"", 302, {"Location": target})] * 9
    failed(files.task, "redirected to a URL that cannot be read|InvalidURL|location header")


def test_plain_http_is_refused_where_the_api_is_not_plain(tmp_path, files):
    """A client of an https API downloads over https only; the file server is not even asked."""
    with (
        Client("sk_x", "https://api.example/v1") as client,
        pytest.raises(AnalyticsDownloadFailed, match="not an https address"),
    ):
        client.download_export(files.task, tmp_path / "out.csv")
    assert files.gets == []


def test_a_file_that_is_too_large_is_refused(failed, files):
    """max_bytes is enforced while the bytes come, and not tried again."""
    failed(files.task, "larger than max_bytes=1,000", max_bytes=1000)
    assert len(files.gets) == 1


@pytest.mark.parametrize("case", ["hang", "drip"])
def test_a_download_ends_within_its_time(failed, service, files, case):
    """timeout= bounds the whole download, however slowly the bytes come."""
    task = {"download_url": files.url, "format": "CSV"}

    def pieces():
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
        yield from service.silence() if case == "hang" else service.pieces(CSV, 0.02)

    service.script = lambda _: Answer(raw=pieces())
    began = time.monotonic()
    failed(task, r"not complete within 0\.15 s", timeout=0.15)
    assert time.monotonic() - began < 1.15


def test_a_transfer_that_always_breaks_ends(tmp_path, service, files):
    """After as many tries as the client's policy allows, the error tells how far it came."""
    service.script = lambda _: FRAMINGS["length"](CSV[:100])
    with (
        Client("sk_x", service.base_url, retry=Retry(3, 0.0)) as client,
        pytest.raises(AnalyticsDownloadFailed, match=r"100 of [\d,]+ bytes arrived"),
    ):
        client.download_export({"download_url": files.url}, tmp_path / "out.csv")
    assert len(service.requests) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there(failed, scripted):
    """A refused connection is tried again and then told, without the URL."""
    failed({"download_url": "http://127.0.0.1:9/x?sig=1", "format": "CSV"}, "ConnectError")


def test_progress_is_reported(fetch, files):
    """progress(bytes so far, bytes in all) grows to the end, across a resumed transfer too."""
    files.answers = [files.broken(0.5)]
    seen = []
    fetch(files.task, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (len(CSV), len(CSV))
    assert {total for _, total in seen} == {len(CSV)}


def test_a_progress_that_raises_ends_the_download(fetch, files, tmp_path):
    """An exception of the caller's own comes out as it is, and leaves no file."""

    def stop(done, total):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        fetch(files.task, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_download_leaves_nothing(scripted, service, files, tmp_path):
    """Cancelling an awaiting download removes what it had written."""

    async def cancelled():
        begun = asyncio.Event()
        service.script = lambda _: Answer(
            raw=(
                piece
                for part in ([b"HTTP/1.1 200 OK\r\n\r\n" + CSV], service.silence())
                for piece in part
            )
        )
        download = asyncio.ensure_future(
            scripted.adownload_export(
                files.task, tmp_path / "out.csv", progress=lambda *_: begun.set()
            )
        )
        await begun.wait()
        download.cancel()
        await asyncio.gather(download, return_exceptions=True)
        return download.cancelled()

    assert asyncio.run(cancelled())
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import resource, sys
from vectorshift import Client
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    Client("sk_x", sys.argv[1]).download_export({"download_url": sys.argv[2], "format": "CSV"}, sys.argv[3])
except OSError as error:
    sys.exit(7 if error.errno else 8)
"""


def test_a_full_disk_leaves_nothing(service, files, tmp_path):
    """When the file cannot grow, the system's OSError comes out and no file stays."""
    arguments = [service.base_url, files.url, str(tmp_path / "out.csv")]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *arguments], check=False, capture_output=True, text=True
    )
    assert done.returncode == 7, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_refused_first(scripted, service, tmp_path):
    """A missing directory or a directory as the file is reported before any request."""
    for path in (tmp_path / "none" / "out.csv", tmp_path):
        with pytest.raises(AnalyticsInvalidQuery, match="directory"):
            scripted.download_export("ex_1", path)
    with pytest.raises(TypeError, match="ExportTask or its task id"):
        scripted.download_export({}, tmp_path / "out.csv")
    assert service.requests == []


def test_a_task_that_is_not_ready_says_so(fetch, service, tmp_path):
    """A pending export has no URL to download; an unknown one is not found."""
    service.script = in_turn({"status": "success", "task_status": "pending"})
    with pytest.raises(AnalyticsDownloadFailed, match="pending and has no download URL"):
        fetch({"task_id": "ex_1"})
    service.script = in_turn(Answer({"error": "unknown"}, 404))
    with pytest.raises(AnalyticsNotFound):
        fetch("ex_1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("known", ["ex_1", {"task_id": "ex_1"}], ids=["by id", "by task"])
def test_an_export_that_failed_is_reported_with_its_reason(fetch, service, tmp_path, known):
    """A failed export has no file, whatever URL stands beside it: the service's own reason is raised."""
    failed = {"task_status": "failed", "error": "disk full", "download_url": service.base_url}
    service.script = in_turn({"status": "success"} | failed)
    with pytest.raises(AnalyticsExportFailed, match="ex_1 failed: disk full"):
        fetch(known)
    with pytest.raises(AnalyticsExportFailed, match="ex_1 failed: disk full"):
        fetch({"task_id": "ex_1"} | failed)
    assert list(tmp_path.iterdir()) == []


def test_nothing_secret_is_logged(fetch, files, caplog):
    """At level DEBUG no logger shows the key, or the query of a signed URL, redirects included; not even httpx's own."""
    files.answers = [Answer(b"", 302, {"Location": files.url})]
    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.DEBUG, "httpx"),
        caplog.at_level(logging.DEBUG, "httpcore"),
    ):
        fetch(files.task)
        fetch("ex_1")
    assert "/files/x?***" in caplog.text
    assert "sk_test_key" not in caplog.text
    assert "deadbeef" not in caplog.text


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_an_application_that_logs_everything(library, service, files, tmp_path):
    """Whichever library stands in httpx's place, its lines come as the application wants them, without the signature."""
    code = f"""
import logging, sys, {library}
sys.modules["httpx"] = {library}
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
from vectorshift import Client
with Client(api_key="sk_test_key", base_url={service.base_url!r}) as client:
    client.download_export({files.task!r}, {str(tmp_path / "x.csv")!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"INFO:{library}:HTTP Request: GET" in done.stdout, done.stderr
    assert "/files/x?***" in done.stdout
    assert "deadbeef" not in done.stdout + done.stderr


def test_the_file_may_be_read_by_others(fetch, files, tmp_path):
    """The file gets the usual rights of a new file, not those of a temporary one."""
    fetch(files.task)
    (tmp_path / "plain").touch()
    assert os.stat(tmp_path / "out.csv").st_mode == os.stat(tmp_path / "plain").st_mode
    assert IMPATIENT.attempts == 5
