"""What a file server says of a file: a checksum is believed for exactly what it is of, an encoding for what it changed."""

import asyncio
import base64
import hashlib

import pytest

from tests.sdk.scripted import Answer, in_turn
from vectorshift import AnalyticsDownloadFailed

CSV = b"span_id,text\n" + b"".join(b"sp_%d,a\n" % n for n in range(200))
OTHER = CSV.replace(b"sp_7,", b"sp_8,")
HALF = len(CSV) // 2


def base(kind, body=CSV):
    """A digest in base64."""
    return base64.b64encode(hashlib.new(kind, body).digest()).decode()


def hexed(kind, body=CSV):
    """A digest in hex."""
    return hashlib.new(kind, body).hexdigest()


@pytest.fixture(params=["blocking", "awaiting"])
def fetch(request, scripted, service, tmp_path):
    """Download what the service answers in turn, in both ways."""

    def call(*answers):
        service.requests.clear()
        service.script = in_turn(*answers)
        task = {"download_url": service.base_url.removesuffix("/v1") + "/x", "format": "CSV"}
        if request.param == "blocking":
            return scripted.download_export(task, tmp_path / "out.csv")
        return asyncio.run(scripted.adownload_export(task, tmp_path / "out.csv"))

    return call


WHOLE = {
    "base64": {"Content-MD5": base("md5")},
    "quoted": {"Content-MD5": f'"{base("md5")}"'},
    "hex": {"Content-MD5": hexed("md5")},
    "upper-case hex": {"Content-MD5": hexed("md5").upper()},
    "without padding": {"x-amz-checksum-sha256": base("sha256").rstrip("=")},
    "for URLs": {"x-amz-checksum-sha256": base("sha256").translate(str.maketrans("+/", "-_"))},
    "FULL_OBJECT": {"x-amz-checksum-sha256": base("sha256"), "x-amz-checksum-type": "FULL_OBJECT"},
    "Azure": {"x-ms-blob-content-md5": base("md5")},
    "several hashes": {"x-goog-hash": f"crc32c=AAAAAA==, md5={base('md5')}"},
    "md5 first": {"x-goog-hash": f"md5={base('md5')},crc32c=AAAAAA=="},
    "several digests": {"Digest": f"MD5={base('md5')}, sha-512=AAAA, SHA-256={base('sha256')}"},
    "md5 alone": {"Digest": f"md5={base('md5')}"},
    "id-sha-256": {"Digest": f"id-sha-256={base('sha256')}"},
    "structured": {"Repr-Digest": f"sha-512=:AAAA:, sha-256=:{base('sha256')}:;q=1"},
    "Content-Digest": {"Content-Digest": f"sha-256=:{base('sha256')}:"},
}
NONE = {
    "composite by its suffix": {"x-amz-checksum-sha256": f"{base('sha256', OTHER)}-2"},
    "composite by its type": {
        "x-amz-checksum-sha256": base("sha256", OTHER),
        "x-amz-checksum-type": "COMPOSITE",
    },
    "composite in any case": {
        "X-Amz-Checksum-Sha256": base("sha256", OTHER),
        "X-Amz-Checksum-Type": "composite",
    },
    "multipart ETag": {"ETag": f'"{hexed("md5", OTHER)}-2"'},
    "encrypted ETag": {"ETag": f'"{hexed("md5", OTHER)}"'},
    "another kind": {"x-amz-checksum-crc32": "AAAAAA==", "Digest": "sha-512=AAAA,unixsum=30637"},
    "not a digest": {"Content-MD5": "true", "x-goog-hash": "md5", "Repr-Digest": "sha-256"},
    "empty": {"Content-MD5": "", "Digest": "", "x-amz-checksum-sha256": ""},
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_checksum_of_the_file_is_checked_in_every_spelling(fetch, case):
    """Base64 and hex, quoted or not, alone or among others: the right bytes pass by it, one wrong byte does not."""
    assert fetch(Answer(CSV, headers=WHOLE[case])).verified == "checksum"
    name = next(iter(WHOLE[case]))
    with pytest.raises(AnalyticsDownloadFailed, match=f"(?i)checksum in {name}"):
        fetch(Answer(OTHER, headers=WHOLE[case]))


@pytest.mark.parametrize("case", NONE)
def test_what_is_not_a_checksum_of_the_file_is_none(fetch, case):
    """A checksum of checksums, and a tag that only looks like one, say nothing of the bytes: the length does."""
    assert fetch(Answer(CSV, headers=NONE[case])).verified == "length"


@pytest.mark.parametrize(
    "named", ["identity", "", " Identity ", "aws-chunked", "aws-chunked, identity", "utf-8"]
)
def test_an_encoding_that_changes_nothing_is_none(fetch, named):
    """Stores repeat what an upload was sent with; the bytes are the file's."""
    assert fetch(Answer(CSV, headers={"Content-Encoding": named})).sha256 == hexed("sha256")


@pytest.mark.parametrize("named", ["gzip", "aws-chunked,gzip", "br", "GZIP"])
def test_an_encoding_that_changes_the_bytes_is_refused(fetch, named):
    """Plain bytes were requested; what came is not the file, and the encoding is named."""
    with pytest.raises(AnalyticsDownloadFailed, match=named.rpartition(",")[2].lower()):
        fetch(Answer(CSV, headers={"Content-Encoding": named}))


def broken(headers):
    """The first half of the file, then a connection that ends."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f'HTTP/1.1 200 OK\r\nContent-Length: {len(CSV)}\r\nETag: "v1"\r\n{lines}\r\n'
    return Answer(raw=[head.encode(), CSV[:HALF]])


def rest(body=CSV, **headers):
    """The second half."""
    reported = {"ETag": '"v1"', "Content-Range": f"bytes {HALF}-{len(CSV) - 1}/{len(CSV)}"}
    return Answer(body[HALF:], 206, reported | headers)


@pytest.mark.parametrize("case", WHOLE)
def test_a_checksum_of_the_first_answer_holds_over_a_resume(fetch, service, case):
    """The file server names the checksum once, with the whole file: the rest of it is checked by it as well."""
    assert fetch(broken(WHOLE[case]), rest()).verified == "checksum"
    assert service.requests[-1].headers["range"] == f"bytes={HALF}-"
    damaged = CSV[:-2] + b"b\n"
    with pytest.raises(AnalyticsDownloadFailed, match="checksum"):
        fetch(broken(WHOLE[case]), rest(damaged))


def test_a_checksum_of_a_part_is_not_one_of_the_file(fetch):
    """What an answer with the rest says of its own body is not held against the whole."""
    part = CSV[HALF:]
    own = {
        "Content-MD5": base("md5", part),
        "Content-Digest": f"sha-256=:{base('sha256', part)}:",
        "x-amz-checksum-sha256": base("sha256", part),
    }
    assert fetch(broken({}), rest(**own)).verified == "length"
    assert fetch(broken(WHOLE["base64"]), rest(**own)).verified == "checksum"


def test_a_checksum_of_the_whole_may_come_with_the_rest(fetch):
    """Some headers mean the whole file wherever they stand."""
    whole = {"x-goog-hash": f"md5={base('md5')}"}
    assert fetch(broken({}), rest(**whole)).verified == "checksum"
    with pytest.raises(AnalyticsDownloadFailed, match="x-goog-hash"):
        fetch(broken({}), rest(CSV[:-2] + b"b\n", **whole))


def test_a_new_file_is_held_to_its_own_checksum(fetch):
    """When the transfer begins anew, what was said of the former file is forgotten."""
    first = broken({"Content-MD5": base("md5")})
    new = Answer(OTHER, headers={"ETag": '"v2"'})
    assert fetch(first, Answer(b"", 416), new).verified == "length"
