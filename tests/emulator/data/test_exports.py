"""Exports: tasks, and three file formats that say the same."""

import csv
import json
from datetime import UTC, datetime, timedelta

import pytest
from python_calamine import CalamineWorkbook

from vectorshift_emulator._settings import Settings
from vectorshift_emulator.api.columns import EVERY
from vectorshift_emulator.data import seed
from vectorshift_emulator.exports import workbooks
from vectorshift_emulator.exports.tasks import Exports

END = datetime(2026, 3, 2, tzinfo=UTC)
QUERY = (
    f"SELECT {', '.join(f'{column.stored} AS {column.name}' for column in EVERY)} FROM events"
    " ORDER BY start_time DESC, span_id"
)
AWKWARD = (
    'a "quoted", text',
    "two\nlines",
    "Windows\r\nlines",
    "carriage\rreturn",
    "=1+1",
    "+49 30 1234",
    "@home",
    "-5",
    "0123",
    "1e5",
    "TRUE",
    "  spaces  ",
    "tab\there",
    "é ü 日本語 🚚 \u2028",
    "_x0041_ is no A",
    "https://example.com/a?b=c",
    "bell \a and escape \x1b",
    "'",
    '"',
    ",",
    "x" * 32_767,
)


@pytest.fixture
def made(store, tmp_path):
    """A function that makes an export of all events and returns its task."""
    exports = Exports(
        store,
        tmp_path,
        Settings(export_mode="sync"),
        secret=b"s",
        public_url=lambda: "http://127.0.0.1:1",
    )
    yield lambda extension, query=QUERY, params=(): exports.create(
        query, params, extension=extension, file_name="events"
    )
    exports.close()


def csv_rows(path):
    """The records of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def xlsx_rows(path):
    """The records of a workbook's one sheet."""
    book = CalamineWorkbook.from_path(str(path))
    assert book.sheet_names == ["events"]
    header, *rows = book.get_sheet_by_name("events").to_python()
    return [dict(zip(header, row, strict=True)) for row in rows]


JSON_COLUMNS = {column.name for column in EVERY if column.type in ("json", "users")}
NUMBERS = {column.name for column in EVERY if column.type == "number"}


def compared(row):
    """A row in the one form in which the formats are compared; empty and null are one."""
    values = {}
    for name, value in row.items():
        if value in (None, ""):
            values[name] = None
        elif name in JSON_COLUMNS and isinstance(value, str):
            values[name] = json.loads(value)
        else:
            values[name] = float(value) if name in NUMBERS else value
    return values


def test_the_formats_say_the_same_row_by_row(store, made):
    """CSV, JSON and XLSX of generated and awkward events are equal to each other and the table."""
    seed.fill(store.cursor(), events=700, days=7, seed=1, end=END)
    for number, text in enumerate(AWKWARD):
        seed.burst(store.cursor(), at=END, count=1, error_message=text, seed=number)
    tasks = {extension: made(extension) for extension in ("CSV", "JSON", "XLSX")}
    assert {task.rows for task in tasks.values()} == {store.count()}
    from_json = json.loads(tasks["JSON"].path.read_text(encoding="utf-8"))
    from_csv = csv_rows(tasks["CSV"].path)
    from_xlsx = xlsx_rows(tasks["XLSX"].path)
    assert [column.name for column in EVERY] == list(from_json[0]) == list(from_csv[0])
    rows = [compared(row) for row in from_json]
    assert [compared(row) for row in from_csv] == rows
    assert [compared(row) for row in from_xlsx] == rows
    assert set(AWKWARD) <= {row["error_message"] for row in rows}
    ids = store.cursor().execute(f"SELECT span_id FROM ({QUERY})").fetchall()
    assert [row["span_id"] for row in rows] == [span_id for (span_id,) in ids]


def test_values_have_their_documented_form(store, made):
    """Times end in Z with milliseconds; objects and lists are JSON; what is absent is null."""
    seed.fill(store.cursor(), events=700, days=7, seed=1, end=END)
    text = made("JSON").path.read_text(encoding="utf-8")
    rows = json.loads(text)
    assert len(text.splitlines()) == len(rows) + 2
    chat = next(
        row for row in rows if (row["span_kind"], row["status"]) == ("chatbot.run", "success")
    )
    assert datetime.fromisoformat(chat["span_start_time"]).tzinfo is UTC
    assert chat["span_start_time"][19] == "."
    assert chat["span_start_time"][23:] == "Z"
    assert chat["session_users"][0].count("@") == 1
    assert chat["object_info"]["type"] == "chatbot"
    assert chat["span_attributes"]["tokens"] == sum(
        chat["span_attributes"][key] for key in ("prompt_tokens", "completion_tokens")
    )
    assert chat["parent_span_id"] is None


def test_json_of_users_stays_on_its_line(store, made):
    """Line breaks between the tokens of stored JSON do not break up the file's lines."""
    seed.burst(store.cursor(), at=END, count=2, seed=1)
    store.cursor().execute("""UPDATE events SET object_info = '{ "a":\n[1, 2] }'""")
    assert len(made("JSON").path.read_text().splitlines()) == 4
    assert {row["object_info"] for row in csv_rows(made("CSV").path)} == {'{"a":[1,2]}'}


@pytest.mark.parametrize("extension", ["CSV", "JSON", "XLSX"])
def test_an_export_of_nothing_is_an_empty_table(made, extension):
    """No events: CSV and XLSX have the header, JSON an empty array; the task is ready."""
    task = made(extension)
    assert task.rows == 0
    if extension == "CSV":
        assert task.path.read_text() == ",".join(column.name for column in EVERY) + "\n"
    elif extension == "JSON":
        assert json.loads(task.path.read_text()) == []
    else:
        assert xlsx_rows(task.path) == []


def test_parameters_reach_the_query(store, made):
    """An export holds the rows of its query with the given parameters."""
    seed.fill(store.cursor(), events=300, days=7, seed=1, end=END)
    query = f"SELECT * FROM ({QUERY}) WHERE status = $1"
    for extension in ("CSV", "JSON", "XLSX"):
        failures = made(extension, query, ["failure"])
        expected = "SELECT count(*) FROM events WHERE status = 'failure'"
        assert failures.rows == store.cursor().execute(expected).fetchone()[0] > 0


@pytest.mark.parametrize("extension", ["CSV", "JSON", "XLSX"])
def test_the_same_rows_make_the_same_file(store, made, extension):
    """Two exports of unchanged events have the same bytes, so the same ETag."""
    seed.fill(store.cursor(), events=100, days=7, seed=1, end=END)
    assert made(extension).written == made(extension).written


@pytest.fixture
def background(store, tmp_path):
    """Exports whose tasks stay pending for an hour at least."""
    exports = Exports(
        store,
        tmp_path,
        Settings(export_delay=3600),
        secret=b"s",
        public_url=lambda: "http://127.0.0.1:1",
    )
    yield exports
    exports.close()


def test_an_asynchronous_task_is_pending_first(store, background):
    """A task is pending until its file is written and the delay is over, then has a URL."""
    task = background.create(QUERY, [], extension="CSV", file_name="a/b ü.csv")
    requested = {"task_id": task.task_id, "format": "CSV", "file_name": "a/b ü.csv"}
    assert background.task(task.task_id) is task
    assert background.task("ex_0") is None
    assert task.ended.wait(10)
    assert task.reply(datetime.now(UTC)) == requested | {"task_status": "pending"}
    reply = task.reply(datetime.now(UTC) + timedelta(seconds=3601))
    assert reply.pop("download_url").startswith(
        f"http://127.0.0.1:1/downloads/{task.task_id}/a%2Fb%20%C3%BC.csv?"
    )
    assert reply == requested | {"task_status": "ready"}


def test_an_export_holds_the_events_of_its_creation(store, background):
    """Events that arrive while an export waits for its turn are not in it."""
    seed.fill(store.cursor(), events=50, days=7, seed=1, end=END)
    slow = "SELECT sum(hash(range)) AS span_id FROM range(20000000)"
    for _ in range(2):
        background.create(slow, [], extension="CSV", file_name="slow")
    task = background.create(QUERY, [], extension="CSV", file_name="events.csv")
    seed.burst(store.cursor(), at=END, count=5, seed=1)
    assert task.ended.wait(60)
    assert task.rows == 50


def test_a_sync_task_is_ready_in_the_create_reply(made):
    """In mode sync a task is ready when create returns, whatever the delay."""
    assert made("CSV").reply(datetime.now(UTC))["task_status"] == "ready"


@pytest.mark.parametrize("extension", ["CSV", "JSON", "XLSX"])
def test_a_failed_write_fails_the_task(store, made, tmp_path, extension):
    """Without its directory a file cannot be written: the task failed and says why."""
    seed.burst(store.cursor(), at=END, count=5, seed=1)
    tmp_path.rmdir()
    reply = made(extension).reply(datetime.now(UTC))
    assert reply["task_status"] == "failed"
    assert "No such file or directory" in reply["error"]
    assert str(tmp_path) not in reply["error"]
    assert "download_url" not in reply


def test_a_query_that_fails_leaves_no_file(made, tmp_path):
    """An error of the database fails the task and leaves no file behind."""
    for extension in ("CSV", "JSON", "XLSX"):
        task = made(extension, "SELECT error('broken row') AS span_id FROM range(9)")
        assert "broken row" in task.reply(datetime.now(UTC))["error"]
    assert list(tmp_path.iterdir()) == []


def test_more_rows_than_a_sheet_has_fail_the_task(made, tmp_path):
    """An XLSX export of more rows than a sheet holds fails and says what to do."""
    task = made("XLSX", f"SELECT range AS span_id FROM range({workbooks.MAX_ROWS})")
    assert "1048576 rows do not fit" in task.reply(datetime.now(UTC))["error"]
    assert list(tmp_path.iterdir()) == []


def test_more_text_than_a_cell_has_fails_the_task(store, made, tmp_path):
    """An XLSX export of a text longer than a cell fails, never cuts; CSV takes it."""
    seed.burst(store.cursor(), at=END, count=1, error_message="x" * 32_768, seed=1)
    error = made("XLSX").reply(datetime.now(UTC))["error"]
    assert "column error_message: a text of 32768 characters" in error
    assert list(tmp_path.iterdir()) == []
    assert len(csv_rows(made("CSV").path)[0]["error_message"]) == 32_768


@pytest.mark.parametrize("extension", ["CSV", "XLSX"])
def test_column_names_are_text(made, extension):
    """A column may be called anything, also what a spreadsheet takes for a formula or a link."""
    names = ["=1+1", "https://example.com", 'a "b", c', "7"]
    selected = ", ".join('1 AS "' + name.replace('"', '""') + '"' for name in names)
    path = made(extension, f"SELECT {selected}").path
    rows = csv_rows(path) if extension == "CSV" else xlsx_rows(path)
    assert list(rows[0]) == names


@pytest.mark.timeout(20)
@pytest.mark.parametrize("extension", ["CSV", "JSON", "XLSX"])
def test_closing_interrupts_what_runs(store, tmp_path, extension):
    """close returns soon though an endless export runs and another waits; no file is left."""
    exports = Exports(store, tmp_path, Settings(export_delay=0), secret=b"s", public_url=str)
    endless = "SELECT sum(hash(range)) AS span_id FROM range(10000000000000)"
    tasks = [
        exports.create(endless, [], extension=extension, file_name="endless") for _ in range(3)
    ]
    exports.close()
    assert [task.written for task in tasks] == [None, None, None]
    assert not tasks[2].ended.is_set()
    assert list(tmp_path.iterdir()) == []
