"""Export files that nobody would write, through every reader: each ends in a table or an error of ours, soon.

`python -m tests.orchestration.fuzzing_files 100000 7` reads so many files, of seed 7, and prints what they ended in; `read(seed)`
reads one of them again.
"""

from __future__ import annotations

import copy
import io
import json
import random
import sys
import time
import zipfile
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from tests.orchestration.rows import event, write_csv, write_json, write_xlsx
from tests.sdk.fuzzing import NASTY, places
from tests.seeds import search
from vectorshift_orchestration.errors import ExportFileError
from vectorshift_orchestration.readers import read_export

MOST_CPU = 2.0
WRITERS = {"CSV": write_csv, "JSON": write_json, "XLSX": write_xlsx}
INSERTED = (b'"', b"\n", b",", b"\xff", b"\x00", b"[" * 3000, b"9" * 400, b"\\ud800", b"\r", b"'")


@cache
def sound(format: str) -> bytes:
    """A file of a few events."""
    with TemporaryDirectory() as folder:
        return WRITERS[format](
            Path(folder) / "f", [event(number) for number in range(4)]
        ).read_bytes()


def bytes_of(chance: random.Random, body: bytes) -> bytes:
    """A file with a few of its bytes removed, replaced, repeated or added."""
    changed = bytearray(body)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at, how = chance.randrange(len(changed) + 1), chance.randrange(5)
        if how == 0:
            del changed[at : at + chance.choice((1, 2, 40))]
        elif how == 1:
            changed[at:at] = chance.choice(INSERTED)
        elif how == 2:
            del changed[at:]
        elif how == 3 and at < len(changed):
            changed[at] = chance.randrange(256)
        else:
            changed[at:at] = changed[max(0, at - chance.choice((1, 60))) : at]
    return bytes(changed)


def structure_of(chance: random.Random, format: str, folder: Path) -> bytes:
    """A file whose writer had rows with values that are out of place."""
    rows = [event(number) for number in range(4)]
    for _ in range(chance.choice((1, 1, 2, 3))):
        holder, key = chance.choice([each for each in places(rows) if each[0] is not rows])
        holder[key] = copy.deepcopy(chance.choice(NASTY))
    if format == "JSON":
        return json.dumps(rows).encode(errors="surrogatepass")
    if format == "CSV":
        text = json.loads(json.dumps(rows).replace("\\udfff", "?"))
        return write_csv(folder / "made", text).read_bytes()
    return packed(chance, folder)


def packed(chance: random.Random, folder: Path) -> bytes:
    """A workbook whose parts are sound archives of disturbed XML."""
    made, archive = io.BytesIO(), zipfile.ZipFile(io.BytesIO(sound("XLSX")))
    spoiled = chance.choice(archive.namelist())
    with zipfile.ZipFile(made, "w") as target:
        for name in archive.namelist():
            part = archive.read(name)
            target.writestr(name, bytes_of(chance, part) if name == spoiled else part)
    return made.getvalue()


def read(seed: int, folder: Path) -> pa.Table:
    """Read the file of a seed; return its table, or raise what it raises."""
    chance = random.Random(seed)
    format = chance.choice(tuple(WRITERS))
    if chance.random() < 0.5:
        body = bytes_of(chance, sound(format))
    else:
        body = structure_of(chance, format, folder)
    path = folder / "file"
    path.write_bytes(body)
    schema, batches = read_export(path, format)
    return pa.Table.from_batches(batches, schema)


def ended(seed: int, folder: Path) -> str:
    """What the file of a seed ended in: `table`, or the name of an error of ours. Raises AssertionError for anything else."""
    began = time.process_time()
    try:
        table = read(seed, folder)
        table.validate(full=True)
        outcome = "table"
    except ExportFileError as error:
        outcome = type(error).__name__
        str(error).encode()
    except BaseException as error:
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {str(error)[:200]}") from error
    if (took := time.process_time() - began) > MOST_CPU:
        raise AssertionError(f"seed {seed}: {took:.1f} s of CPU")
    return outcome


if __name__ == "__main__":
    with TemporaryDirectory() as work:
        FILES, FIRST = int(sys.argv[1]), int(sys.argv[2])
        sys.exit(search("files", partial(ended, folder=Path(work)), FILES, FIRST) > 0)
