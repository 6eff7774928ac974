"""Files that ClickHouse, Go and excelize wrote: each is read right, or refused in words that say what to choose.

`service_files` holds made-up events as ClickHouse 26.9 (`clickhouse`) and Go 1.27 with excelize 2.11
(`go`) write them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from vectorshift.errors import RetryAdvice
from vectorshift_orchestration.errors import ExportFileError, ExportFormatError
from vectorshift_orchestration.readers import read_export

FILES = Path(__file__).parent / "service_files"
START = datetime(2026, 3, 1, tzinfo=UTC)


def rows(name, **more):
    """What the file holds, without what is null."""
    path = FILES / name
    schema, batches = read_export(path, path.suffix[1:], **more)
    result = pa.Table.from_batches(batches, schema).to_pylist()
    return [
        {name: value for name, value in row.items() if value is not None}
        | {"span_start_time": (row["span_start_time"] - START) / timedelta(milliseconds=1)}
        for row in result
    ]


def column(name, of):
    """One column of a file, which has its first event where it belongs."""
    result = rows(name)
    assert result[0]["span_id"] in ("sp_0", "sp_1")
    return [row.get(of) for row in result]


def plain(count, first=123, **cells):
    """Events a second apart, as ClickHouse's files have them."""
    return [
        {"span_id": f"sp_{n}", "span_start_time": first + 1000.0 * n} | cells for n in range(count)
    ]


@pytest.mark.parametrize("name", ["C2.csv", "C2crlf.csv", "C2types.csv", "C7unix.json"])
def test_rows_of_clickhouse(name):
    """Quoted names, CRLF, a line of types, seconds since 1970: the same three events."""
    assert rows(f"clickhouse/{name}") == plain(3)


FORMS = ["C5.json", "C5c.json", "C6.json", "C6c.json", "C7.json", "C2n_empty.csv"]


@pytest.mark.parametrize("name", FORMS)
def test_the_same_events_in_each_form_of_clickhouse(name):
    """JSON, JSONCompact, JSONEachRow, its compact twin, an array and CSV hold the same table."""
    whole = {
        "error_message": "x",
        "latency": 1.5,
        "span_end_time": START + timedelta(milliseconds=999),
    }
    first, second, third = plain(3)
    assert rows(f"clickhouse/{name}") == [first | whole, second, third | whole]


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("C2n_text.csv", "error_message"),
        ("C2n_float.csv", "latency"),
        ("C2n_time.csv", "span_end_time"),
    ],
)
def test_backslash_n_is_null(name, of):
    """ClickHouse's `\\\\N` is null in a text, a number and a time."""
    first, second, third = column(f"clickhouse/{name}", of)
    assert (first, second) == (third, None)
    assert first is not None


@pytest.mark.parametrize("name", ["go/D6nil_text.csv", "go/D6nil_float.csv"])
def test_go_nil_is_null(name):
    """`<nil>` is what Go's fmt makes of null."""
    assert {key for row in rows(name) for key in row} == {"span_id", "span_start_time"}


def test_a_text_in_quotes_is_a_text(tmp_path):
    """ClickHouse quotes a text that is `\\\\N`; quoted nothing is null, as everywhere."""
    path = tmp_path / "f.csv"
    cells = [r'"\N"', r"\N", '"<nil>"', "<nil>", '""']
    lines = "".join(f'"sp_{n}","2026-03-01T00:00:00Z",{cell}\n' for n, cell in enumerate(cells))
    path.write_text(f'"span_id","span_start_time","error_message"\n{lines}')
    assert [row.get("error_message") for row in rows(path)] == [r"\N", None, "<nil>", None, None]


@pytest.mark.parametrize("name", ["D1.csv", "D2crlf.csv"])
def test_a_text_of_go_is_not_null(name):
    """Go quotes no text and leaves null empty, so its `\\N` is a text."""
    assert r"\N" in column(f"go/{name}", "error_message")


@pytest.mark.parametrize("null", ["", "<nil>"])
def test_the_kind_of_null_is_known_before_the_first_one(tmp_path, monkeypatch, null):
    """Also where the first null comes long after the first `\\N`."""
    monkeypatch.setattr("vectorshift_orchestration.formats.csv._BLOCK_BYTES", 60)
    path = tmp_path / "f.csv"
    time = "2026-03-01T00:00:00Z"
    path.write_text(
        f"span_id,span_start_time,error_message\nsp_0,{time},\\N\nsp_1,{time},xxxxx\nsp_2,{time},{null}\n"
    )
    assert [row.get("error_message") for row in rows(path)] == [r"\N", "xxxxx", None]


@pytest.mark.parametrize(
    "name",
    [
        "go/D11nil.json",
        "go/D11empty.json",
        "go/D14.empty.csv",
        "go/D22empty_cell.xlsx",
        "go/D22empty_stream.xlsx",
        "clickhouse/C14.csv",
        "clickhouse/C14a.json",
    ],
)
def test_no_rows(name):
    """The null of a nil slice, an empty array, a header alone."""
    assert rows(name) == []


@pytest.mark.parametrize("name", ["clickhouse/C14.json", "clickhouse/C14b.csv"])
def test_an_empty_file_is_one_without_rows_for_who_knows_that(name):
    """JSON lines of nothing are not a byte. Who has not counted cannot tell it from a lost file."""
    assert rows(name, may_be_empty=True) == []
    with pytest.raises(ExportFileError, match="is empty"):
        rows(name)


@pytest.mark.parametrize(
    "name",
    ["D10.json", "D11enc.json", "D11ndjson.json", "D11one.json", "D11wrap_data.json",
     "D11wrap_events.json", "D11wrap_rows.json"],
)  # fmt: skip
def test_the_same_events_in_each_form_of_go(name):
    """One array, with and without a newline, lines, and an object around the array."""
    (first, *others) = rows(f"go/{name}")
    assert first["error_message"] == 'a<b>&\u2028\0 � "q" \n'
    assert first["object_info"] == '{"a":1}'
    assert json.loads(first["span_attributes"]) == {"f": 1e21, "n": None, "tokens": 812}
    assert (first["tokens"], first["big"]) == ("9007199254740993", "18446744073709551615")
    expected = {"span_id": "sp_2", "span_start_time": 0.0, "tokens": "0", "big": "0"}
    assert others == ([] if name == "D11one.json" else [expected])


def test_rows_of_lists():
    """Lists under a list of names."""
    assert rows("go/D11rows.json") == plain(1, 250)


@pytest.mark.parametrize(
    ("name", "milliseconds"),
    [
        ("clickhouse/C19s.csv", 0),
        ("clickhouse/C19us.csv", 123.456),
        ("clickhouse/C19ns.csv", 123.456),
        ("go/D5time_nano.csv", 373.456),
        ("go/D5time_micro.csv", 373.456),
        ("go/D5time_nanozero.csv", 250),
        ("go/D5time_offset.csv", 250),
        ("go/D5time_rfc.csv", 0),
        ("go/D5time_string.csv", 250),
        ("go/D5time_unixms.csv", 250),
    ],
)
def test_unambiguous_times(name, milliseconds):
    """Any number of digits, offsets, Go's own text, numbers since 1970."""
    assert {row["span_start_time"] for row in rows(name)} == {milliseconds}


def test_a_time_with_a_monotonic_clock():
    """What Go prints of a time that it has just read."""
    path = FILES / "go/D5time_monotonic.csv"
    (batch,) = read_export(path, "csv")[1]
    (start,) = batch["span_start_time"].to_pylist()
    assert start == datetime(2026, 11, 28, 14, 38, 50, 966143, UTC)


@pytest.mark.parametrize("name", ["clickhouse/C19zero.csv", "go/D9zero.csv"])
def test_a_zero_end_is_null(name):
    """1970 and the year 1 are not an end."""
    assert not any("span_end_time" in row for row in rows(name))


USERS = '["ana@x.org","it\'s","a\\"b"]'


@pytest.mark.parametrize(
    ("name", "of", "cells"),
    [
        ("clickhouse/C8arr.csv", "session_users", [USERS] * 3),
        ("clickhouse/C8arr.json", "session_users", [USERS] * 3),
        ("clickhouse/C9named.json", "object_info", ['{"name":"a","n":1}'] * 3),
        ("go/D8json.csv", "session_users", ['["ana@x.org"]']),
        ("go/D8json.csv", "span_attributes", ['{"html":"<b>&","tokens":812}']),
        ("go/D8empty.csv", "session_users", [None, "[]"]),
        ("go/D8empty.csv", "span_attributes", [None, "{}"]),
    ],
)
def test_json_columns_have_one_spelling(name, of, cells):
    """Literals of ClickHouse, Go's escapes and a written null come out as pages have them."""
    assert column(name, of) == cells


@pytest.mark.parametrize("name", ["D14hdr.csv", "D14hdr2.csv", "D14hdr4.csv", "D14upper.json"])
def test_headers_in_other_spellings(name):
    """Blanks, humps and capitals mean the page's names."""
    (row,) = rows(f"go/{name}")
    assert (row["span_id"], row["span_start_time"], row["error_message"]) == ("sp_0", 250, "x")


@pytest.mark.parametrize("name", ["D21sheets_cell.xlsx", "D21sheets_stream.xlsx"])
def test_every_sheet_is_read(name):
    """What does not fit into a sheet goes on in the next."""
    assert [row["span_id"] for row in rows(f"go/{name}")] == ["sp_0", "sp_1"]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("clickhouse/C10.csv", 3), ("clickhouse/C10.json", 3), ("clickhouse/C12.csv", 3),
        ("clickhouse/C12.json", 3), ("clickhouse/C12empty.csv", 3), ("clickhouse/C13.csv", 3),
        ("clickhouse/C7nan.json", 3), ("clickhouse/C8json.csv", 3), ("clickhouse/C8json.json", 3),
        ("go/D1.csv", 23), ("go/D2crlf.csv", 23), ("go/D10ns.json", 2), ("go/D14bom.csv", 1),
        ("go/D14camel.json", 1), ("go/D14late_known.json", 2), ("go/D15cell.xlsx", 20),
        ("go/D15stream.xlsx", 20), ("go/D17values_cell.xlsx", 3), ("go/D17values_stream.xlsx", 3),
        ("go/D21deleted_cell.xlsx", 1), ("go/D21deleted_stream.xlsx", 1),
        ("go/D21renamed_cell.xlsx", 1), ("go/D21renamed_stream.xlsx", 1), ("go/D23default.xlsx", 1),
        ("go/D23merged.xlsx", 1), ("go/D23missing.xlsx", 2), ("go/D23richtext.xlsx", 1),
        ("go/D23table.xlsx", 1), ("go/D24formula_cell.xlsx", 1), ("go/D24formula_stream.xlsx", 1),
        ("go/D7floatok.csv", 3),
    ],
)  # fmt: skip
def test_what_was_right_stays_right(name, count):
    """The rest is read as well, and whole."""
    assert len(rows(name)) == count


FORM = [
    ("clickhouse/C1.csv", "row 1: span_start_time .* a time without its offset.* Export as JSON"),
    ("clickhouse/C7local.json", "row 1: span_start_time .* without its offset.* Export as CSV"),
    ("clickhouse/C3.csv", "begins with a row instead of the names.* Export as JSON"),
    ("clickhouse/C4.csv", "has tabs instead of commas.* Export as JSON"),
    ("clickhouse/C4semi.csv", "has semicolons instead of commas.* Export as JSON"),
    ("clickhouse/C6cols.json", "columns instead of rows.* Export as CSV"),
    ("clickhouse/C9named.csv", "object_info in parts, such as object_info.name.* Export as JSON"),
    ("clickhouse/C9tuple.csv", "object_info in parts, such as object_info.1.* Export as JSON"),
    ("clickhouse/C17.csv", "row 4 is blank, as above rows of totals.* Export as JSON"),
    ("clickhouse/C18nan.csv", "row 2: latency is not a finite number.* Export as JSON"),
    ("clickhouse/C18inf.csv", "row 2: latency is not a finite number.* Export as JSON"),
    ("go/D5time_ansic.csv", "a time in words.* Export as JSON"),
    ("go/D5time_rfc1123.csv", "a time in words, without fractions of a second.* Export as JSON"),
    ("go/D5time_datetime.csv", "a time without its offset.* Export as JSON"),
    ("go/D5time_zero.csv", "span_start_time is missing, or the time of an unset value"),
    ("go/D7float.csv", "row 4: latency .* marks between groups of its digits.* Export as JSON"),
    ("go/D7float_inf.csv", "latency is not a finite number"),
    ("go/D7float_nan.csv", "latency is not a finite number"),
    ("go/D7float_neginf.csv", "latency is not a finite number"),
    ("go/D8sprint.csv", "row 1: object_info is what Go's fmt prints.* Export as JSON"),
    ("go/D14late.json", "row 2 has a key 'custom'.* Export as CSV"),
    ("go/D16time_cell.xlsx", "a date of a workbook, .* without a zone.* Export as CSV or JSON"),
    ("go/D18limit_cell.xlsx", "as long as a cell of XLSX can be.* Export as CSV or JSON"),
    ("go/D18limit_stream.xlsx", "as long as a cell of XLSX can be.* Export as CSV or JSON"),
    ("go/D18long_cell.xlsx", "as long as a cell of XLSX can be.* Export as CSV or JSON"),
    ("go/D18long_stream.xlsx", "as long as a cell of XLSX can be.* Export as CSV or JSON"),
    ("go/D23formula.xlsx", "row 1 has a formula without its value. Export as CSV or JSON"),
    ("go/D23gap_row.xlsx", "rows missing between them. Export as CSV or JSON"),
    ("go/D23title.xlsx", "cells far outside.* Export as CSV or JSON"),
]


@pytest.mark.parametrize(("name", "words"), FORM)
def test_what_is_not_certain_is_refused_for_good(name, words):
    """The refusal says what the form is and what to choose, and asks for no second export."""
    with pytest.raises(ExportFormatError, match=words) as caught:
        rows(name)
    assert caught.value.retry_advice is RetryAdvice.PERMANENT
    assert "damaged" not in str(caught.value)


AGAIN = [
    ("clickhouse/C11.csv", "row 1 is not UTF-8.* if it stays so, export as JSON"),
    ("clickhouse/C11.json", "row 1 holds a text that is not JSON in UTF-8.* export as CSV"),
    ("go/D4bad.csv", "row 1 is not UTF-8.* if it stays so, export as JSON"),
    ("go/D10broken.json", "row 3 is not a JSON object.* if it stays so, export as CSV"),
    ("go/D14nonl.csv", "does not end with a newline.* if it stays so, export as JSON"),
    ("go/D14ragged.csv", "row 2 has 1 columns instead of 3.* if it stays so, export as JSON"),
]


@pytest.mark.parametrize(("name", "words"), AGAIN)
def test_what_may_be_damage_is_requested_again(name, words):
    """A file that may have been cut is worth another export; what to do if it stays is said too."""
    with pytest.raises(ExportFileError, match=words) as caught:
        rows(name)
    assert caught.value.retry_advice is RetryAdvice.ASK_ANEW
