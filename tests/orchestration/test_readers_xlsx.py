"""Workbooks: every way to write a cell, what would harm, and memory that does not grow with the sheet."""

from __future__ import annotations

import tracemalloc
import zipfile

import pyarrow as pa
import pytest
import xlsxwriter

from tests.orchestration.rows import event, write_xlsx
from vectorshift_orchestration.errors import ExportFileError
from vectorshift_orchestration.formats import plain_rows, sheet_cells
from vectorshift_orchestration.readers import read_export

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
HEADER = "<row><c t='str'><v>span_id</v></c><c t='str'><v>span_start_time</v></c></row>"
TIME = "<c t='str'><v>2026-11-22T00:00:00Z</v></c>"


def table(path):
    schema, batches = read_export(path, "XLSX")
    return pa.Table.from_batches(batches, schema)


def workbook(path, sheet, shared=None, *, declared="", target="worksheets/first.xml"):
    """A workbook whose one sheet has these rows, and whose shared texts are this XML."""
    relations = [("r1", "worksheet", target)]
    parts = {"xl/worksheets/first.xml": f"{declared}<worksheet xmlns='{MAIN}'>{sheet}</worksheet>"}
    if shared is not None:
        relations.append(("r2", "sharedStrings", "sharedStrings.xml"))
        parts["xl/sharedStrings.xml"] = f"<sst xmlns='{MAIN}'>{shared}</sst>"
    parts["xl/workbook.xml"] = (
        f"<workbook xmlns='{MAIN}' xmlns:r='{DOCUMENT}'>"
        "<sheets><sheet name='s' sheetId='7' r:id='r1'/></sheets></workbook>"
    )
    reported = "".join(
        f"<Relationship Id='{name}' Type='{DOCUMENT}/{kind}' Target='{part}'/>"
        for name, kind, part in relations
    )
    parts["xl/_rels/workbook.xml.rels"] = (
        f"<Relationships xmlns='{PACKAGE}'>{reported}</Relationships>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


def rows_with(path, cells, **parts):
    """A sheet of the header and one row whose cells these are."""
    return workbook(path, f"<sheetData>{HEADER}<row>{cells}</row></sheetData>", **parts)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<c t='str'><v>a&amp;b</v></c>", "a&b"),
        ("<c t='inlineStr'><is><t> a </t></is></c>", " a "),
        ("<c t='inlineStr'><is><r><t>a</t></r><r><rPr><b/></rPr><t>b</t></r></is></c>", "ab"),
        ("<c t='inlineStr'><is><t>a</t><rPh><t>x</t></rPh></is></c>", "a"),
        ("<c t='inlineStr'><is><t>a_x000D_\n_x005F_x0041_</t></is></c>", "a\r\n_x0041_"),
        ("<c t='inlineStr'><is><t><![CDATA[</row>]]></t></is></c>", "</row>"),
        ("<c t='s'><v>1</v></c>", "two runs"),
        ("<c t='b'><v>1</v></c>", "true"),
        ("<c t='b'><v>0</v></c>", "false"),
        ("<c><v>9007199254740993</v></c>", "9007199254740993"),
        ("<c><f>1+1</f><v>2</v></c>", "2"),
        ("<c r='A2' t='str'><v>a</v></c>", "a"),
    ],
)
def test_every_way_to_write_a_cell(tmp_path, cell, text):
    """Texts inline, shared, in runs and escaped, numbers, booleans and formulas: as they were meant."""
    shared = "<si><t>one</t></si><si><r><t>two </t></r><r><t>runs</t></r></si>"
    path = rows_with(tmp_path / "f.xlsx", cell + TIME, shared=shared)
    assert table(path)["span_id"].to_pylist() == [text]


@pytest.mark.parametrize("target", ["worksheets/first.xml", "/xl/worksheets/first.xml"])
def test_the_first_sheet_is_found_by_its_relation(tmp_path, target):
    """Not by a name: the part may be called and addressed in any way."""
    path = rows_with(tmp_path / "f.xlsx", f"<c><v>5</v></c>{TIME}", target=target)
    assert table(path)["span_id"].to_pylist() == ["5"]


def test_prefixed_elements_are_read(tmp_path):
    """Writers may spell the same elements with a namespace prefix."""
    rows = f"<sheetData>{HEADER}<row><c><v>5</v></c>{TIME}</row></sheetData>"
    prefixed = rows.replace("</", "\0").replace("<", "<x:").replace("\0", "</x:")
    path = workbook(tmp_path / "f.xlsx", f"<x:part xmlns:x='{MAIN}'>{prefixed}</x:part>")
    assert table(path)["span_id"].to_pylist() == ["5"]


def test_shared_texts_are_read(tmp_path):
    """A workbook with a table of shared texts is the same table as one with its texts in place."""
    rows = [event(number) for number in range(30)]
    expected = table(write_xlsx(tmp_path / "inline.xlsx", rows))
    with zipfile.ZipFile(tmp_path / "inline.xlsx") as archive:
        assert "xl/sharedStrings.xml" not in archive.namelist()
    path = tmp_path / "shared.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, expected.column_names)
        for number, row in enumerate(expected.to_pylist(), start=1):
            texts = row | {
                name: row[name].isoformat() for name in ("span_start_time", "span_end_time")
            }
            for column, value in enumerate(texts.values()):
                sheet.write(number, column, value)
    assert table(path).equals(expected)


def plain_sheet(rows, head='<?xml version="1.0" encoding="UTF-8"?>'):
    """The XML of a sheet as most writers spell it; rows are lists of (kind, text), or nothing for no cell."""

    def cell(place, row, kind, text):
        inside = f"<is><t>{text}</t></is>" if kind == "inlineStr" else f"<v>{text}</v>"
        return f'<c r="{"ABC"[place]}{row}" s="1" t="{kind}">{inside}</c>'

    reported = "".join(
        f'<row r="{row}" spans="1:3">'
        + "".join(cell(place, row, *each) for place, each in enumerate(cells) if each)
        + "</row>"
        for row, cells in enumerate(rows, start=1)
    )
    return f'{head}<worksheet xmlns="{MAIN}"><dimension ref="A1"/><sheetData>{reported}</sheetData></worksheet>'


TEXT = "inlineStr"
PLAIN = [
    [(TEXT, "span_id"), (TEXT, "span_start_time"), (TEXT, "latency")],
    [(TEXT, "a &amp; &#34;b&#x22; é\n"), ("str", "2026-11-22T00:00:00Z"), ("n", "1e-7")],
    [(TEXT, "_x0041_ ]] >"), (TEXT, "2026-11-22T00:00:01Z"), None],
    [("s", "1"), ("s", "0"), ("n", "9007199254740993")],
    [("b", "1"), ("s", "0"), ("n", "")],
]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("", ""),
        ("</sheetData>", '<row r="6"/><row r="7"><c r="A7" s="1"/></row></sheetData>'),
        ('<row r="3"', '<!-- <row r="3"></row> --><row r="3"'),
        ('<row r="3" spans="1:3">', '<row r="3" hidden="1">'),
        ('<row r="3"', '<row r="4"'),
        ('<row r="3"', '<row r="03"'),
        ('r="B3"', 'r="B4"'),
        ('r="B3"', 'r="A3"'),
        ('r="B3"', 'r="D3"'),
        ('r="B3"', 'r="AAA3"'),
        ('<c r="B3"', 'stray<c r="B3"'),
        ('<c r="B3"', '<f>1</f><c r="B3"'),
        ("]] >", "]]>"),
        ("]] >", "<![CDATA[<c>]]>"),
        ("]] >", "&nothing;"),
        ("]] >", "&#0;"),
        ("]] >", "\x01"),
        ("]] >", "\ufffe"),
        ("]] >", "\r\n"),
        ("]] >", "\udcff"),
        ('t="b"', 't="e"'),
        ('t="b"', 't="d"'),
        ('<v>0</v></c><c r="C4"', '<v>9</v></c><c r="C4"'),
        ('<v>0</v></c><c r="C4"', '<v>x</v></c><c r="C4"'),
        ("<t>span_id</t>", "<t></t>"),
        ("latency", ""),
        ("UTF-8", "ISO-8859-1"),
        ("<dimension", "<!-- <sheetData> --><dimension"),
        ("<sheetData>", '<sheetData><row r="1"></row>'),
        ("</worksheet>", ""),
        ("</row></sheetData>", "</sheetData>"),
    ],
)
@pytest.mark.parametrize("size", [1 << 16, 300])
def test_plain_rows_are_what_the_parser_makes_of_them(tmp_path, monkeypatch, right, wrong, size):
    """The same table or the same refusal, but for the place in it, whether expressions or the parser read the rows."""
    shared = "<si><t>2026-11-22T00:00:02Z</t></si><si><t>sp_3</t></si>"
    path = workbook(tmp_path / "f.xlsx", "", shared)
    sheet = plain_sheet(PLAIN)
    assert right in sheet
    sheet = sheet.replace(right, wrong, 1) if right else sheet
    whole = tmp_path / "g.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(whole, "w") as new:
        for name in old.namelist():
            is_sheet = name.endswith("first.xml")
            reported = sheet.encode(errors="surrogateescape") if is_sheet else old.read(name)
            new.writestr(name, reported)

    def outcome():
        try:
            return table(whole).to_pylist()
        except ExportFileError as problem:
            return str(problem).partition(": line")[0]

    monkeypatch.setattr(sheet_cells, "_READ_BYTES", size)
    by_expressions = outcome()
    monkeypatch.setattr(plain_rows, "begin", lambda _: -1)
    assert outcome() == by_expressions
    if not right:
        assert [row["span_id"] for row in by_expressions] == [
            'a & "b" é\n',
            "A ]] >",
            "sp_3",
            "true",
        ]


@pytest.mark.parametrize("shared", [False, True])
def test_memory_does_not_grow_with_the_sheet(tmp_path, monkeypatch, shared):
    """More than twice the rows are read in the same memory, with texts in place and with shared ones."""
    monkeypatch.setattr("vectorshift_orchestration.formats.xlsx._BATCH_ROWS", 250)
    peaks = []
    for rows in (4_000, 10_000):
        path = tmp_path / f"{rows}.xlsx"
        with xlsxwriter.Workbook(str(path), {"constant_memory": not shared}) as book:
            sheet = book.add_worksheet()
            sheet.write_row(0, 0, ["span_id", "span_start_time", "note"])
            for number in range(1, rows + 1):
                note = f"{number:0200d}"
                sheet.write_row(number, 0, [f"sp_{number}", "2026-11-22T00:00:00Z", note])
        tracemalloc.start()
        _, batches = read_export(path, "XLSX")
        assert sum(batch.num_rows for batch in batches) == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000  # the texts alone are 1.2 million bytes more


def test_empty_rows_at_the_end_are_not_rows(tmp_path):
    """Formatting below the last row is nothing; an empty row between others is missing data."""
    path = tmp_path / "f.xlsx"
    row = f"<row><c><v>5</v></c>{TIME}</row>"
    workbook(path, f"<sheetData>{HEADER}{row}<row/><row><c/></row></sheetData>")
    assert table(path).num_rows == 1
    workbook(path, f"<sheetData>{HEADER}{row}<row/>{row}</sheetData>")
    with pytest.raises(ExportFileError, match="rows missing"):
        table(path)


def far_cell(path):
    rows_with(path, "<c r='XFD2'/>")


def wide_row(path):
    rows_with(path, f"<c><v>5</v></c>{TIME}<c><v>6</v></c>")


def backward_cell(path):
    rows_with(path, "<c r='B2'/><c r='A2'/>")


def cell_of_another_row(path):
    rows_with(path, "<c r='A3'/>")


def far_row(path):
    workbook(path, f"<sheetData>{HEADER}<row r='1048576'>{TIME}</row></sheetData>")


def wide_header(path):
    workbook(path, "<sheetData><row>" + "<c><v>1</v></c>" * 703 + "</row></sheetData>")


def error_value(path):
    rows_with(path, f"<c t='e'><v>#N/A</v></c>{TIME}")


def unknown_text(path):
    rows_with(path, f"<c t='s'><v>1</v></c>{TIME}", shared="<si><t>one</t></si>")


def negative_text(path):
    rows_with(path, f"<c t='s'><v>-1</v></c>{TIME}", shared="<si><t>one</t></si>")


def endless_text(path):
    rows_with(path, f"<c t='str'><v>{'ab ' * 800_000}</v></c>{TIME}")


def endless_runs(path):
    runs = f"<r><t>{'ab ' * 10_000}</t></r>" * 40
    rows_with(path, f"<c t='inlineStr'><is>{runs}</is></c>{TIME}")


def endless_shared_text(path):
    runs = f"<r><t>{'ab ' * 10_000}</t></r>" * 40
    rows_with(path, f"<c t='s'><v>0</v></c>{TIME}", shared=f"<si>{runs}</si>")


def no_header(path):
    workbook(path, f"<sheetData><row/><row><c><v>5</v></c>{TIME}</row></sheetData>")


def cell_before_any_row(path):
    workbook(path, f"<sheetData>{TIME}</sheetData>")


def unknown_encoding(path):
    rows_with(path, "<c/>", declared="<?xml version='1.0' encoding='x-none'?>")


def endless_tag(path):
    rows_with(path, f"<c x='{'ab ' * 800_000}'><v>1</v></c>{TIME}")


def many_names(path):
    rows_with(path, "".join(f"<n{number}/>" for number in range(20_000)))


def entities(path):
    rows_with(path, "<c/>", declared='<!DOCTYPE x [<!ENTITY a "b">]>')


def entities_in_another_encoding(path):
    entities(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = parts["xl/worksheets/first.xml"].decode()
    parts["xl/worksheets/first.xml"] = sheet.encode("utf-16")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def entity_bomb_in_shared_texts(path):
    lines = ["<!ENTITY a0 'ha'>", *(f"<!ENTITY a{n} '&a{n - 1};&a{n - 1};'>" for n in range(1, 40))]
    rows_with(path, f"<c t='s'><v>0</v></c>{TIME}", shared="<si><t>&a39;</t></si>")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    declared = f"<!DOCTYPE x [{''.join(lines)}]>".encode()
    parts["xl/sharedStrings.xml"] = declared + parts["xl/sharedStrings.xml"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b" " * (8 << 20))


def many_entries(path):
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(1001):
            archive.writestr(f"xl/{number}", b"x")


def outside(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../evil", b"x")


def no_workbook(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", b"x")


def no_sheet(path):
    rows_with(path, "<c/>", target="worksheets/other.xml")


def cut_xml(path):
    workbook(path, "<sheetData>")


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (far_cell, "far outside"),
        (wide_row, "far outside"),
        (backward_cell, "far outside"),
        (cell_of_another_row, "far outside"),
        (far_row, "far outside"),
        (wide_header, "far outside"),
        (error_value, "row 1 has an error"),
        (unknown_text, "damaged"),
        (negative_text, "damaged"),
        (endless_text, "not a readable workbook"),
        (endless_tag, "not a readable workbook"),
        (endless_runs, "not a readable workbook"),
        (endless_shared_text, "not a readable workbook"),
        (no_header, "far outside"),
        (cell_before_any_row, "far outside"),
        (unknown_encoding, "readable workbook|damaged"),
        (many_names, "not a readable workbook"),
        (entities, "entities"),
        (entities_in_another_encoding, "entities"),
        (entity_bomb_in_shared_texts, "entities"),
        (bomb, "beyond the limits"),
        (many_entries, "1001 entries"),
        (outside, "outside of itself"),
        (no_workbook, "not a readable workbook"),
        (no_sheet, "not a readable workbook"),
        (cut_xml, "not a readable workbook"),
    ],
)
def test_an_xlsx_that_would_harm_is_refused(tmp_path, make, part):
    """Bombs, far cells, entities, tags without end and foreign archives never fill the memory."""
    path = tmp_path / "f.xlsx"
    make(path)
    with pytest.raises(ExportFileError, match=part):
        table(path)


def test_xlsx_is_read_in_pieces_of_any_size(tmp_path, monkeypatch):
    """Wherever a piece of the sheet ends, inside a tag, a text or a character, the rows are the same."""
    path = write_xlsx(tmp_path / "f.xlsx", [event(number) for number in range(30)])
    expected = table(path)
    for size in range(1, 60, 7):
        monkeypatch.setattr("vectorshift_orchestration.formats.sheet_cells._READ_BYTES", size)
        assert table(path).equals(expected)


def test_xlsx_text_at_the_limit_of_the_format_is_refused(tmp_path):
    """A cell as long as a cell can be may have been cut, so it is not passed on as whole."""
    path = write_xlsx(tmp_path / "f.xlsx", [event(1, error_message="x" * 32_767)])
    with pytest.raises(ExportFileError, match="32,767"):
        table(path)


def test_xlsx_with_a_flipped_byte_is_refused(tmp_path):
    """The checksum of each entry is checked before a cell is believed."""
    path = write_xlsx(tmp_path / "f.xlsx", [event(number) for number in range(50)])
    with zipfile.ZipFile(path) as archive:
        sheet = archive.getinfo("xl/worksheets/sheet1.xml")
    data = bytearray(path.read_bytes())
    data[sheet.header_offset + 200] ^= 1
    path.write_bytes(data)
    with pytest.raises(ExportFileError):
        table(path)


def test_any_flipped_byte_of_a_workbook_is_harmless(tmp_path):
    """Wherever a bit turns, the same table is read, or the error is ours."""
    path = write_xlsx(tmp_path / "f.xlsx", [event(number) for number in range(2)])
    data, expected = path.read_bytes(), table(path)
    directory = data.index(b"PK\x01\x02")  # flags, offsets and sizes stand there
    for place in (*range(0, directory, 61), *range(directory, len(data), 5)):
        for mask in (0x01, 0x80):
            flipped = bytearray(data)
            flipped[place] ^= mask
            path.write_bytes(flipped)
            try:
                assert table(path).equals(expected)
            except ExportFileError:
                continue
