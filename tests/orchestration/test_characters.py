"""NUL, lone surrogates and bytes that are not UTF-8: refused with the option named, or replaced and counted."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import replace

import pyarrow as pa
import pytest

from tests.orchestration.conftest import EVERY_KIND
from tests.orchestration.rows import DAY, event, write_csv, write_json
from vectorshift_orchestration.characters import Characters
from vectorshift_orchestration.errors import ExportFileError, UnstorableValue
from vectorshift_orchestration.exports.completeness import checked_rows
from vectorshift_orchestration.landing import ExportFile, Landing
from vectorshift_orchestration.readers import read_export
from vectorshift_orchestration.spills import Spill
from vectorshift_orchestration.tables import EVENT_TIME

MARK = "\N{REPLACEMENT CHARACTER}"


def exported(path, format):
    """A file of three events, of which the second has what no text holds, and how it should land."""
    rows = [event(number, error_message="fine", trace_id="t") for number in range(3)]
    write = {"CSV": write_csv, "JSON": write_json}[format]
    write(path, [rows[0], rows[1] | {"error_message": "HERE", "trace_id": "THERE"}, rows[2]])
    if format == "CSV":
        bad, present, expected = b"a\0b\xffc", b"\xe2\x82", (f"a{MARK}b{MARK}c", MARK, 3)
    else:
        bad = rb"a\u0000b\ud800c\\ud800 \ud83d\ude9a"
        present, expected = b"\xff\xfe\\udc00", (f"a{MARK}b{MARK}c\\ud800 🚚", MARK * 3, 5)
    path.write_bytes(path.read_bytes().replace(b"THERE", present).replace(b"HERE", bad))
    content = path.read_bytes()
    file = ExportFile(path, format, len(content), hashlib.sha256(content).hexdigest(), 3)
    return file, expected


in_every_kind = pytest.mark.parametrize("store", EVERY_KIND, indirect=True)


@in_every_kind
@pytest.mark.parametrize("format", ["CSV", "JSON"])
@pytest.mark.parametrize("rows", ["read again", "kept from the check"])
def test_an_export_lands_with_its_characters_replaced(store, tmp_path, format, rows):
    """In every database the row comes in with U+FFFD in place of each, and the result counts them."""
    file, (message, trace, count) = exported(tmp_path / "f", format)
    if rows == "kept from the check":
        file = replace(file, spill=Spill(tmp_path))
        checked_rows(file.path, format, DAY, characters=Characters(), spill=file.spill)
    landing = Landing(
        table="events", connect=lambda: nullcontext(store.connection), replace_characters=True
    )
    landed = landing.write_export(file, DAY)
    result = store.query("SELECT error_message, trace_id FROM events ORDER BY span_id")
    assert result == [("fine", "t"), (message, trace), ("fine", "t")]
    assert (landed.replaced, landed.to_json()["replaced"]) == (count, count)


@pytest.mark.parametrize("format", ["CSV", "JSON"])
def test_the_check_of_a_file_accepts_them_only_on_request(tmp_path, format):
    """The refusal names the option; so does the reader's."""
    file, _ = exported(tmp_path / "f", format)
    with pytest.raises(ExportFileError, match=r"row 2 .*UTF-8.* replace_characters=True"):
        checked_rows(file.path, format, DAY)


@pytest.mark.parametrize("kind", ["rows", "export"])
def test_a_nul_is_refused_by_postgres_with_the_option_named(postgres_sessions, tmp_path, kind):
    """Without the option nothing changes, and the words say which option would."""
    store = postgres_sessions.store("postgres")
    landing = Landing(table="events", connect=lambda: nullcontext(store.connection))
    path = write_csv(tmp_path / "f", [event(0, error_message="a\0b")])
    schema, batches = read_export(path, "CSV")
    rows = pa.Table.from_batches(batches, schema)
    write = {
        "rows": lambda: landing.write_rows({DAY: rows}, time_column=EVENT_TIME),
        "export": lambda: landing.write_export(ExportFile(path, "CSV", 1, "", 1), DAY),
    }[kind]
    with pytest.raises(UnstorableValue, match=r"NUL .* replace_characters=True"):
        write()
    store.connection.rollback()


@in_every_kind
def test_rows_that_were_measured_are_replaced_too(store):
    """Labels of a table of figures hold what users typed."""
    rows = pa.table({"at": pa.array([DAY.start], pa.timestamp("us", "UTC")), "label": ["a\0\0"]})
    landing = Landing(
        table="figures", connect=lambda: nullcontext(store.connection), replace_characters=True
    )
    done = landing.write_rows({DAY: rows}, time_column="at")
    assert store.query("SELECT label FROM figures") == [(f"a{MARK}{MARK}",)]
    assert done[DAY].replaced == 2


def test_escapes_inside_of_json_columns_are_replaced(tmp_path):
    """Half a character in an attribute, in a CSV cell as in a JSON file."""
    for format, write in (("CSV", write_csv), ("JSON", write_json)):
        path = write(tmp_path / "f", [event(0, span_attributes={"k": "HERE", "n": 1.0})])
        path.write_bytes(path.read_bytes().replace(b"HERE", rb"\ud800x"))
        with pytest.raises(ExportFileError):
            list(read_export(path, format)[1])
        characters = Characters()
        _, batches = read_export(path, format, characters=characters)
        (batch,) = batches
        assert batch["span_attributes"].to_pylist() == ['{"k":"' + MARK + 'x","n":1}']
        assert characters.count == 1
