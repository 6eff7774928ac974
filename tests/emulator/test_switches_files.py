"""The switches of export files, and the faults that make a file or a page fall short."""

import csv
import io
import json

import pytest
from python_calamine import CalamineWorkbook

from tests.emulator.wire import text_filter

COLUMNS = [
    {"column_label": label, "column_type": type_}
    for label, type_ in (
        ("span_id", "SpanId"),
        ("start", "SPAN_START_TIME"),
        ("end", "SPAN_END_TIME"),
        ("status", "STATUS"),
        ("error", "ERROR_MESSAGE"),
        ("latency", "LATENCY"),
    )
]


@pytest.fixture
def exported(blank, on_blank):
    """A function that exports two runs, and what else was inserted, and returns the file's bytes."""
    blank.insert(
        [
            {
                "span_id": "a",
                "start_time": "2026-03-01T10:00:00.250Z",
                "end_time": "2026-03-01T10:00:01Z",
                "latency": 750.0,
            },
            {"span_id": "b", "start_time": "2026-03-01T09:00:00Z", "status": "failure"},
        ]
    )

    def export(extension, **table):
        body = {
            "data_table": {"columns": COLUMNS, **table},
            "extension": extension,
            "file_name": f"events.{extension.lower()}",
        }
        task = on_blank.ask("/exports", body)
        assert task["task_status"] == "ready", task
        path = task["download_url"].removeprefix(on_blank.base_url.removesuffix("/v1"))
        return on_blank.raw("GET", path)[2]

    return export


NOTHING = {"table_filters": [text_filter("SOURCE", "nobody")]}


def sheets(content):
    """The rows of every sheet of a workbook, by its name."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


@pytest.mark.parametrize(("case", "shown"), [("upper", "SUCCESS"), ("lower", "success")])
def test_status_of_files(blank, exported, case, shown):
    """Every format has the status in the case of switch file_status."""
    blank.settings(file_status=case)
    rows = csv.DictReader(io.StringIO(exported("CSV").decode()))
    (header, first, _) = sheets(exported("XLSX"))["events"]
    statuses = {
        next(iter(rows))["status"],
        json.loads(exported("JSON"))[0]["status"],
        dict(zip(header, first, strict=True))["status"],
    }
    assert statuses == {shown}


@pytest.mark.parametrize(
    ("null", "line"),
    [
        ("empty", "b,2026-03-01T09:00:00.000Z,,FAILURE,,"),
        ("\\N", "b,2026-03-01T09:00:00.000Z,\\N,FAILURE,\\N,\\N"),
        ("<nil>", "b,2026-03-01T09:00:00.000Z,<nil>,FAILURE,<nil>,<nil>"),
    ],
)
def test_null_of_csv_files(blank, exported, null, line):
    """Null in CSV is nothing, ClickHouse's \\N or Go's <nil>; in JSON it is null."""
    blank.settings(file_null=null)
    assert exported("CSV").decode().splitlines()[2] == line
    assert json.loads(exported("JSON"))[1]["error"] is None
    assert sheets(exported("XLSX"))["events"][2][4] == ("<nil>" if null == "<nil>" else "")


def test_a_text_that_looks_like_null_is_quoted(blank, exported):
    """As ClickHouse does, a text that really is \\N is quoted where null is \\N."""
    blank.insert([{"span_id": "c", "start_time": "2026-03-01T08:00:00Z", "error_message": "\\N"}])
    blank.settings(file_null="\\N")
    assert exported("CSV").decode().splitlines()[3].split(",")[4] == '"\\N"'


@pytest.mark.parametrize("switch", ["[]", "null"])
def test_a_json_file_without_rows(blank, exported, switch):
    """A JSON export of nothing is an empty list, or the null of a nil slice."""
    blank.settings(json_empty=switch)
    assert json.loads(exported("JSON", **NOTHING)) == json.loads(switch)
    assert len(json.loads(exported("JSON"))) == 2


def test_json_lines(blank, exported):
    """With json_form=ndjson a JSON file is an object a line, and nothing when there are no rows."""
    array = json.loads(exported("JSON"))
    blank.settings(json_form="ndjson", json_empty="null")
    assert [json.loads(line) for line in exported("JSON").splitlines()] == array
    assert exported("JSON", **NOTHING) == b""


def test_native_times_of_workbooks(blank, exported):
    """With xlsx_times=native the times of a workbook are dates, in the other formats text."""
    blank.settings(xlsx_times="native")
    (_, first, second) = sheets(exported("XLSX"))["events"]
    assert first[1].isoformat() == "2026-03-01T10:00:00.250000"
    assert second[2] == ""
    assert "2026-03-01T10:00:00.250Z" in exported("CSV").decode()


def test_a_workbook_of_several_sheets(blank, exported):
    """With xlsx_sheet_rows each sheet has so many rows under the same header."""
    blank.insert([{"span_id": f"s{n}", "start_time": "2026-01-01T00:00:00Z"} for n in range(5)])
    (whole,) = sheets(exported("XLSX")).values()
    blank.settings(xlsx_sheet_rows=3)
    result = sheets(exported("XLSX"))
    assert list(result) == ["events", "events 2", "events 3"]
    assert [rows[0] for rows in result.values()] == [whole[0]] * 3
    assert [row for rows in result.values() for row in rows[1:]] == whole[1:]


def test_the_limit_of_a_cell_counts_utf16_units(blank, exported, on_blank):
    """A text of 32,768 units fails an XLSX export, or is cut without breaking a character."""
    blank.insert([{"span_id": "c", "error_message": "🚚" * 16_384}])
    body = {"data_table": {"columns": COLUMNS}, "extension": "XLSX", "file_name": "e.xlsx"}
    task = on_blank.ask("/exports", body)
    assert task["task_status"] == "failed"
    assert "32768 characters" in task["error"]
    blank.settings(xlsx_long_text="cut")
    (_, first, *_) = sheets(exported("XLSX"))["events"]
    assert first[4] == "🚚" * 16_383


def test_absent_values_of_files_may_be_defaults(blank, exported):
    """With absent=default a file has '', 0 and 1970 where a value is missing."""
    blank.settings(absent="default")
    assert json.loads(exported("JSON"))[1] == {
        "span_id": "b",
        "start": "2026-03-01T09:00:00.000Z",
        "end": "1970-01-01T00:00:00.000Z",
        "status": "FAILURE",
        "error": "",
        "latency": 0.0,
    }


@pytest.mark.parametrize("extension", ["CSV", "JSON", "XLSX"])
def test_short_file(blank, exported, extension):
    """The fault short_file leaves out rows of one export and nothing else."""
    blank.fault("export_create", "short_file")
    short, whole = exported(extension), exported(extension)
    counted = {
        "CSV": lambda content: len(content.splitlines()) - 1,
        "JSON": lambda content: len(json.loads(content)),
        "XLSX": lambda content: len(sheets(content)["events"]) - 1,
    }[extension]
    assert (counted(short), counted(whole)) == (1, 2)
    assert [fault["injected"] for fault in blank.faults()] == [1]


def test_first_page(blank, on_blank):
    """The fault first_page makes every page of events and tables the first one."""
    blank.insert([{"span_id": f"s{n}"} for n in range(30)])
    page = {"pagination_config": {"results_per_page": 10, "page_number": 2, "offset": 10}}

    def table():
        rows = on_blank.ask("/tables", {"columns": COLUMNS[:1], **page})["rows"]
        return [row["cells"][0]["stringValue"] for row in rows]

    second = on_blank.spans(**page)
    assert second == table()
    blank.fault("*", "first_page", times=0)
    first = on_blank.spans(**page)
    assert first == on_blank.spans(pagination_config={"results_per_page": 10}) == table()
    assert not set(first) & set(second)
