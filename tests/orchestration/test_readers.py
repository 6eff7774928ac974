"""Exported files: the three formats agree, and a file that was cut or damaged is an error."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import pyarrow as pa
import pytest
import xlsxwriter

from tests.orchestration.rows import event, write_csv, write_json, write_xlsx
from vectorshift_orchestration.errors import ExportFileError
from vectorshift_orchestration.formats import json as json_format, json_rows, xlsx as xlsx_format
from vectorshift_orchestration.readers import read_export
from vectorshift_orchestration.tables import EVENT_SCHEMA

WRITERS = {"CSV": write_csv, "JSON": write_json, "XLSX": write_xlsx}


def table(path, format):
    schema, batches = read_export(path, format)
    return pa.Table.from_batches(batches, schema)


@pytest.fixture(params=sorted(WRITERS))
def format(request):
    return request.param


def test_the_three_formats_hold_the_same_table(tmp_path):
    """The same events read from CSV, JSON and XLSX are equal, cell by cell and type by type."""
    rows = [event(number) for number in range(50)]
    tables = [table(write(tmp_path / name, rows), name) for name, write in WRITERS.items()]
    assert tables[0].schema == EVENT_SCHEMA
    assert tables[0].num_rows == 50
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])


def test_cells_arrive_as_they_were(tmp_path, format):
    """Newlines, quotes, other alphabets, nested values, times and large integers are untouched."""
    row = table(WRITERS[format](tmp_path / "f", [event(0)]), format).to_pylist()[0]
    assert row["error_message"] == 'line one\nline "two", with commas'
    assert row["object_info"] == '{"name":"Näme ✓","tags":["a","b"]}'
    assert row["span_attributes"] == '{"tokens":9007199254740993,"model_costs":0.00123}'
    assert row["span_start_time"] == datetime(2026, 11, 22, 0, 0, 0, 250_000, UTC)
    assert row["latency"] == 1500.25
    assert row["model_id"] is None


def test_an_empty_window_still_has_its_columns(tmp_path, format):
    """A file with a header (or an empty array) and no rows gives the whole schema."""
    empty = table(WRITERS[format](tmp_path / "f", []), format)
    assert empty.num_rows == 0
    assert empty.schema == EVENT_SCHEMA


@pytest.mark.parametrize(
    "spelling",
    [
        {"span_start_time": "spanStartTime", "span_id": "spanId", "error_message": "errorMessage"},
        {"span_start_time": "startTime", "span_id": "SPAN_ID", "error_message": "statusMessage"},
    ],
)
def test_every_spelling_of_the_wire_is_read(tmp_path, format, spelling):
    """camelCase, upper case and the wire's alternate names mean the page's names."""
    row = {spelling.get(name, name): value for name, value in event(0).items()}
    read = table(WRITERS[format](tmp_path / "f", [row]), format)
    assert read.schema == EVENT_SCHEMA
    assert read["error_message"][0].as_py().startswith("line one")


def test_the_status_is_lower_case_as_in_pages(tmp_path, format):
    """A file's SUCCESS is read as `success`, which is how pages have it."""
    rows = [event(number) | {"status": ("SUCCESS", "Failure", None)[number]} for number in range(3)]
    read = table(WRITERS[format](tmp_path / "f", rows), format)
    assert read.column("status").to_pylist() == ["success", "failure", None]


def test_columns_beyond_an_event_stay_as_text(tmp_path, format):
    """A column that nobody knows is kept, as a string, after the known ones."""
    rows = [event(0, region="eu", shard=7), event(1, region=None, shard=8)]
    read = table(WRITERS[format](tmp_path / "f", rows), format)
    assert read.schema.names == [*EVENT_SCHEMA.names, "region", "shard"]
    assert read["region"].to_pylist() == ["eu", None]
    assert read["shard"].to_pylist() == ["7", "8"]


def test_columns_that_are_missing_are_null(tmp_path, format):
    """A file without some columns still gives the whole schema."""
    stored = {"span_id": "sp_1", "span_start_time": "2026-11-22T00:00:00Z"}
    read = table(WRITERS[format](tmp_path / "f", [stored]), format)
    assert read.schema == EVENT_SCHEMA
    assert read["status"].to_pylist() == [None]


def test_progress_counts_rows(tmp_path, format):
    """The callback sees the number of rows read so far and ends at all of them."""
    seen = []
    path = WRITERS[format](tmp_path / "f", [event(number) for number in range(9)])
    list(read_export(path, format, progress=seen.append)[1])
    assert seen[-1] == 9


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"span_start_time": "2026-11-22T00:00:00"}, "row 3: span_start_time cannot be read"),
        ({"span_start_time": "yesterday"}, "row 3: span_start_time cannot be read"),
        ({"span_end_time": "2026-13-45T00:00:00Z"}, "row 3: span_end_time cannot be read"),
        ({"latency": "fast"}, "row 3: latency cannot be read"),
        ({"latency": "1e999"}, "row 3: latency is not a finite number"),
        ({"latency": "nan"}, "row 3: latency is not a finite number"),
        ({"span_id": None}, "row 3: span_id is missing"),
        ({"span_start_time": None}, "row 3: span_start_time is missing"),
    ],
)
def test_a_cell_of_the_wrong_kind_is_named(tmp_path, format, changes, part):
    """A cell that its column cannot hold is an error with file and row, never a null."""
    path = WRITERS[format](tmp_path / "f", [event(0), event(1), event(2, **changes), event(3)])
    with pytest.raises(ExportFileError, match=part) as caught:
        table(path, format)
    assert (caught.value.row, caught.value.path) == (3, path)


@pytest.mark.parametrize(
    ("names", "part"),
    [
        ({"status": "span_start_time"}, "no column span_id|two columns that mean span_start_time"),
        ({"span_id": "identity"}, "no column span_id"),
        ({"trace_id": "spanId"}, "two columns that mean span_id"),
    ],
)
def test_a_header_that_is_not_an_event_is_refused(tmp_path, format, names, part):
    """Missing identity or time, or two columns of one meaning, are refused."""
    pairs = [(names.get(name, name), value) for name, value in event(0).items()]
    path = tmp_path / "f"
    if format == "CSV":
        write_csv(path, [event(0)], [name for name, _ in pairs])
    elif format == "JSON":
        cells = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs)
        path.write_text("[{" + cells + "}]")
    else:
        with xlsxwriter.Workbook(str(path)) as book:
            book.add_worksheet().write_row(0, 0, [name for name, _ in pairs])
    expected = part if format != "JSON" else "gives|missing|row 1|two columns"
    with pytest.raises(ExportFileError, match=expected):
        table(path, format)


def test_every_cut_is_noticed(tmp_path, format):
    """Cut anywhere, the file never reads as a smaller one. Only a CSV's final newline may go."""
    whole = WRITERS[format](tmp_path / "whole", [event(n) for n in range(3)]).read_bytes()
    row_ends = {at + 1 for at in range(len(whole)) if whole[at : at + 1] == b"\n"}
    step = {"CSV": 3, "JSON": 7, "XLSX": 31}[format]
    for length in range(0, len(whole.rstrip()), step):
        if format == "CSV" and length in row_ends and whole[:length].count(b'"') % 2 == 0:
            continue  # a whole number of rows: only the row count can tell, see test_exports
        path = tmp_path / "cut"
        path.write_bytes(whole[:length])
        with pytest.raises(ExportFileError):
            table(path, format)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("span_id,span_start_time\nsp_1\n", "row 1 has 1 columns instead of 2"),
        ("span_id,span_start_time\nsp_1,2026-11-22T00:00:00Z,x\n", "row 1 has 3 columns"),
        ("span_id,span_start_time\nsp_1,2026-11-22T00:00:00Z\n\n", "row 2"),
        ('span_id,span_start_time\nsp_1,"2026-11-22T00:00:00Z\n', "inside a quoted field"),
        ("span_id,span_start_time\nsp_1,2026-11-22T00:00:00Z", "does not end with a newline"),
        ('span_id,span_start_time,note\nsp_1,2026-11-22T00:00:00Z,"one\n', "inside a quoted field"),
        ("<!DOCTYPE html><html>Log in</html>\n", "no column span_id"),
    ],
)
def test_csv_must_be_whole_and_rectangular(tmp_path, text, part):
    """Ragged rows, blank lines, open quotes, a missing newline and web pages are refused."""
    path = tmp_path / "f.csv"
    path.write_text(text, newline="")
    with pytest.raises(ExportFileError, match=part):
        table(path, "CSV")


def test_csv_in_another_encoding_is_refused(tmp_path):
    """Latin-1 text is not guessed at."""
    path = write_csv(tmp_path / "f.csv", [event(0, error_message="caf\xe9")])
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1", "replace"))
    with pytest.raises(ExportFileError, match="row 1 is not UTF-8"):
        table(path, "CSV")


def test_csv_with_mark_and_carriage_returns(tmp_path):
    """A byte order mark and \\r\\n line ends change nothing."""
    plain = write_csv(tmp_path / "plain.csv", [event(1), event(2)])
    other = tmp_path / "other.csv"
    other.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes().replace(b"\n", b"\r\n"))
    assert table(other, "CSV").equals(table(plain, "CSV"))


@pytest.mark.parametrize("name", ["CSV", "JSON"])
def test_a_field_of_ten_megabytes(tmp_path, name):
    """One huge field arrives whole, between ordinary rows."""
    text = 'x"\n\\' * 2_600_000
    rows = [event(1), event(2, error_message=text), event(3)]
    read = table(WRITERS[name](tmp_path / "f", rows), name)
    assert read["error_message"][1].as_py() == text
    assert read.num_rows == 3


@pytest.mark.parametrize("name", ["CSV", "JSON"])
def test_memory_is_bounded_by_a_batch(tmp_path, name):
    """Rows of 100 kB come in small batches, however many there are."""
    rows = [event(number, error_message=f'{number}"\n' * 20_000) for number in range(100)]
    path = WRITERS[name](tmp_path / "f", rows)
    assert path.stat().st_size > 8 << 20
    sizes = [batch.nbytes for batch in read_export(path, name)[1]]
    assert len(sizes) >= 2
    assert max(sizes) < 6 << 20
    assert table(path, name)["error_message"].to_pylist() == [row["error_message"] for row in rows]


def lines_of(layout, rows):
    """The rows as JSON, one a line."""
    texts = [json.dumps(row) for row in rows]
    if layout == "one line":
        return json.dumps(rows, separators=(",", ":"))
    if layout == "pretty":
        return json.dumps(rows, indent=2)
    if layout == "array":
        return "[\n" + ",\n".join(texts) + "\n]\n"
    if layout == "inside":
        return '{"events": [\n' + " ,\n ".join(texts) + '\n], "total": 3}\n'
    return {"lines": "\n", "lines and blanks": "\r\n\n"}[layout].join(texts) + "\n"


LAYOUTS = ["array", "inside", "lines", "lines and blanks", "one line", "pretty"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_json_lines_are_read_at_once_and_one_by_one_alike(tmp_path, monkeypatch, layout):
    """Lines over several reads of the file, ends of reads inside of them: the table that single rows give."""
    rows = [event(number, error_message='a\n"b"},\n' * (number % 4)) for number in range(40)]
    path = tmp_path / "f.json"
    path.write_text(lines_of(layout, rows))
    monkeypatch.setattr("vectorshift_orchestration.formats.json_rows._READ_BYTES", 5_000)
    at_once = table(path, "JSON")
    assert at_once["span_id"].to_pylist() == [row["span_id"] for row in rows]
    monkeypatch.setattr(
        "vectorshift_orchestration.formats.json_rows._Scanner._block", lambda *_: []
    )
    assert table(path, "JSON").equals(at_once)


def test_json_columns_may_hold_something_else_in_later_rows(tmp_path, monkeypatch):
    """Whatever the rows before hold, a cell is read as if its row stood alone; so is a key in another spelling."""
    cells = [
        None,
        "",
        "a b",
        "null",
        12,
        1.50,
        -0.0,
        1e16,
        True,
        {"a": [1.0, "é"]},
        [],
        "5.5",
        [{}],
    ]
    texts = ["parent_span_id", "object_info", "session_users", "caller", "note"]
    rows = [event(number, note=None) for number in range(600)]
    for number, row in enumerate(rows):
        row["latency"] = [None, 5, 2.5, "7.25", 1e300][number // 20 % 5]
        row |= {
            name: cells[number // (40 + place) % len(cells)] for place, name in enumerate(texts)
        }
        row["project_id"] = 9007199254740993 if number < 300 else "p"
        if number > 550:
            row["nodeLatency"] = row.pop("node_latency")
        if number % 90 > 85:
            del row["object_info"], row["source"]
    path = write_json(tmp_path / "f.json", rows)
    monkeypatch.setattr("vectorshift_orchestration.formats.json_rows._READ_BYTES", 9_000)
    read = table(path, "JSON")
    monkeypatch.setattr(
        "vectorshift_orchestration.formats.json_shapes.Shape.learn", lambda *_: None
    )
    assert table(path, "JSON").equals(read)
    assert set(read["note"].to_pylist()) == {
        None, "a b", "null", "12", "1.5", "-0.0", "1e+16", "true", '{"a":[1.0,"é"]}', "[]", "5.5", "[{}]"
    }  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"THERE",', '"THERE"'),
        ('"THERE",', '"THERE"\n'),
        ('"THERE"', '"\\ud800"'),
        ('"THERE"', "THERE"),
        ('"THERE",', '"THERE"}, {'),
        ('"THERE",', '"THERE"},, {'),
        ('"THERE",', '"THERE"}]\n{'),
    ],
)
def test_a_damaged_line_of_json_is_refused_by_its_row(tmp_path, layout, right, wrong):
    """Whatever is wrong with a row among good ones, it and what is behind it are not taken for whole."""
    rows = [event(number, trace_id="THERE" if number == 30 else "t") for number in range(40)]
    path = tmp_path / "f.json"
    path.write_text(lines_of(layout, rows).replace(right, wrong))
    with pytest.raises(ExportFileError, match=r"row 3[0-3]\b|goes on after|holds an object"):
        table(path, "JSON")


def test_csv_rows_are_whole_wherever_a_block_ends(tmp_path, monkeypatch):
    """Blocks of any size, ends inside of quotes, in `\r\n` and in the mark included: one table."""
    rows = [event(number, error_message='a\n"b",\r\n' * (number % 4)) for number in range(12)]
    path = write_csv(tmp_path / "f.csv", rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    expected = table(path, "CSV")
    header = path.read_bytes().index(b"\n") + 1
    for size in range(header, header + 60, 7):
        monkeypatch.setattr("vectorshift_orchestration.formats.csv._BLOCK_BYTES", size)
        assert table(path, "CSV").combine_chunks().equals(expected)


def test_csv_row_numbers_go_on_over_blocks(tmp_path, monkeypatch):
    """A damaged row is named by its place in the file, not in its block."""
    path = write_csv(tmp_path / "f.csv", [event(number) for number in range(40)])
    lines = path.read_bytes() + b"only,three,cells\n"
    path.write_bytes(lines)
    monkeypatch.setattr("vectorshift_orchestration.formats.csv._BLOCK_BYTES", 2000)
    with pytest.raises(ExportFileError, match="row 41 has 3 columns instead of 27") as caught:
        table(path, "CSV")
    assert caught.value.row == 41


def test_a_row_that_never_ends_is_refused(tmp_path, monkeypatch):
    """A quote that is never closed does not fill the memory."""
    monkeypatch.setattr("vectorshift_orchestration.formats.csv._BLOCK_BYTES", 1000)
    monkeypatch.setattr("vectorshift_orchestration.formats.csv._ROW_BYTES", 10_000)
    path = write_csv(tmp_path / "f.csv", [event(1), event(2, error_message="x\n" * 20_000)])
    with pytest.raises(ExportFileError, match="never closed"):
        table(path, "CSV")


@pytest.mark.parametrize("layout", [{"indent": 2}, {"separators": (",", ":")}, {"indent": "\t"}])
def test_json_in_any_layout(tmp_path, layout):
    """Pretty-printed, on one line, with tabs: the same rows."""
    rows = [event(number) for number in range(20)]
    expected = table(write_json(tmp_path / "lines.json", rows), "JSON")
    assert table(write_json(tmp_path / "f.json", rows, **layout), "JSON").equals(expected)


GOOD = '{"span_id":"a","span_start_time":"2026-11-22T00:00:00Z"}'


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("5", "not a JSON array"),
        (GOOD + "]", "row 2 is not a JSON object"),
        (GOOD + "," + GOOD, "row 2 is not a JSON object"),
        ("nul", "not a JSON array"),
        ("[" + GOOD + ",]", "row 2 is not a JSON object"),
        ("[" + GOOD + " " + GOOD + "]", "neither a comma nor an end"),
        ("[" + GOOD + ",5]", "row 2 is not a JSON object"),
        ("[" + GOOD + ",[1]]", "row 2 is not a JSON object"),
        ("[" + GOOD + "] trailing", "goes on after"),
        ("[" + GOOD + "][]", "goes on after"),
        ('[{"span_id": "a" "span_start_time": 5}]', "row 1 is not a JSON object"),
        ('[{"span_id":"a","span_start_time":"2026-11-22T00:00:00Z","latency":NaN}]', "row 1"),
        ("[" + GOOD + ',{"span_id":"b","span_start_time":"x","late":1}]', "key 'late'"),
        ("[" + GOOD + ',{"span_id":"b","spanId":"c","span_start_time":"x"}]', "twice"),
        ('[{"span_id":"a","object_info":' + "[" * 5000 + "]" * 5000 + "}]", "row 1|span_start"),
    ],
)
def test_json_must_be_one_array_of_objects(tmp_path, text, part):
    """Anything but one closed array of objects is refused, with the row where it breaks."""
    path = tmp_path / "f.json"
    path.write_text(text)
    with pytest.raises(ExportFileError, match=part):
        table(path, "JSON")


@pytest.mark.parametrize("bad", [b"\xff", b"\\ud800", b"\\x"])
def test_json_text_that_is_not_text_is_refused(tmp_path, bad):
    """Bytes that are not UTF-8, lone surrogates and unknown escapes are named by their row."""
    path = write_json(tmp_path / "f.json", [event(1), event(2, error_message="HERE"), event(3)])
    path.write_bytes(path.read_bytes().replace(b"HERE", bad))
    with pytest.raises(ExportFileError, match="row 2"):
        table(path, "JSON")


def test_json_brackets_inside_strings_are_text(tmp_path):
    """Braces, brackets and quotes within strings do not end an object."""
    text = 'a } ] [ { \\" "'
    path = write_json(tmp_path / "f.json", [event(1, error_message=text)], indent=1)
    assert table(path, "JSON")["error_message"].to_pylist() == [text]


def test_an_unknown_format_and_an_empty_file_are_named(tmp_path):
    """A format nobody writes and a file of no bytes are errors of their own."""
    path = tmp_path / "f"
    path.touch()
    with pytest.raises(ExportFileError, match="CSV, JSON or XLSX"):
        read_export(path, "parquet")
    with pytest.raises(ExportFileError, match="f is empty"):
        read_export(path, "csv")


TIME = "2026-11-22T00:00:00Z"


@pytest.mark.parametrize(
    "cells",
    ['"abc"def', '""def', 'abc"def"', ' "abc"', '"abc" ', '"a""b"c', '"a,"b', "x\ry"],
)
def test_csv_with_text_beside_its_quotes_is_refused(tmp_path, cells):
    """What is not a field of RFC 4180 is not read as the nearest one."""
    path = tmp_path / "e.csv"
    path.write_bytes(f"span_id,span_start_time,status\na,{TIME},{cells}\n".encode())
    with pytest.raises(ExportFileError):
        list(read_export(path, "CSV")[1])


def test_csv_quotes_of_every_kind_are_read(tmp_path):
    """Doubled quotes, fields of nothing but quotes, and delimiters inside of quotes."""
    texts = ['a"b', '"', '""', "", ',"', '",', '\n"\n', '\r"', '","', "plain"]
    path = tmp_path / "e.csv"
    quoted = [text.replace('"', '""') for text in texts]
    lines = "".join(f'a{n},{TIME},"{text}"\r\n' for n, text in enumerate(quoted))
    path.write_bytes(f"span_id,span_start_time,status\r\n{lines}".encode())
    _, batches = read_export(path, "CSV")
    assert [row for batch in batches for row in batch["status"].to_pylist()] == [
        text or None for text in texts
    ]


@pytest.mark.parametrize("format", ["CSV", "JSON"])
def test_a_column_without_a_name_is_refused(tmp_path, format):
    """It could not be a column of a table."""
    path = tmp_path / "e"
    if format == "CSV":
        path.write_text(f"span_id,span_start_time,\na,{TIME},1\n")
    else:
        path.write_text(json.dumps([{"span_id": "a", "span_start_time": TIME, "": 1}]))
    with pytest.raises(ExportFileError, match="without a name"):
        read_export(path, format)


@pytest.mark.parametrize(
    ("format", "bad"),
    [
        ("CSV", {"latency": "fast"}),
        ("JSON", {"latency": "fast"}),
        ("XLSX", {"latency": "fast"}),
        ("JSON", {"later": "a key that the first row lacks"}),
        ("XLSX", {"error_message": "x" * 32_767}),
    ],
)
def test_a_file_that_is_refused_is_not_held_open(tmp_path, format, bad, monkeypatch):
    """While the error is looked at, or kept for later, the file can be removed and its place is free."""
    read_little(monkeypatch)
    rows = [event(number) for number in range(9)]
    rows[1] |= bad
    path = WRITERS[format](tmp_path / "f", rows)
    with pytest.raises(ExportFileError, match="row 2") as reported:
        table(path, format)
    assert reported.value.row == 2
    assert str(path) not in opened()


def test_a_file_whose_header_is_refused_is_not_held_open(tmp_path, format, monkeypatch):
    """Nor is one that has the columns of something else."""
    read_little(monkeypatch)
    path = WRITERS[format](
        tmp_path / "f", [event(number) | {"caller.id": "x"} for number in range(9)]
    )
    with pytest.raises(ExportFileError, match="caller in parts") as reported:
        table(path, format)
    assert reported.value.path == path
    assert str(path) not in opened()


def read_little(monkeypatch):
    """So that some of the file is still to be read when its second row is refused."""
    for module in (json_format, xlsx_format):
        monkeypatch.setattr(module, "_BATCH_ROWS", 2)
    monkeypatch.setattr(json_rows, "_READ_BYTES", 100)


def opened():
    """The files that this process has open."""
    return {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
