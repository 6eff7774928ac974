"""How the command line behaves on a terminal, in a pipe, and when something is wrong."""

import os
import pty
import select
import subprocess
import sys
import time

import pytest

from tests.cli.conftest import DAY, SCRIPT
from vectorshift_cli import __main__ as starting
from vectorshift_cli.app import run

REFUSED = {
    "query count --where foo": (2, "'foo' is not a condition: write field, operator and value"),
    "query count --where stat=failure": (2, "Field 'stat' does not exist. Did you mean status?"),
    "query count --day 2026-13-01": (2, "day is a date such as 2026-11-22, today or yesterday"),
    "query count --day today --days 3": (2, "day and days say two different windows."),
    "query count --start 2026-01-01": (2, "A window has two ends: give start and end."),
    "query count --json --csv": (2, "--json and --csv exclude each other"),
    "query count --account retries": (2, "'retries' is not a setting: write name=value"),
    "query count --account retry=2": (2, "The account has no field 'retry'"),
    "query count --timezone Europe/Berln": (2, "Time zone 'Europe/Berln' does not exist."),
    "query count": (2, "There is no API key. Set the environment variable VECTORSHIFT_API_KEY"),
    "query events --all --limit 3": (2, "--all and --limit exclude each other"),
    "query events --columns span_id,stats": (
        2,
        "Column 'stats' does not exist. Did you mean status?",
    ),
    "query aggregate --metrics run.sum": (2, "Metric 'run.sum' does not exist."),
    "query aggregate --metrics runs.sum --where status=failure": (0, None),
    "export": (2, "The rows have nowhere to land. Give --destination for a file"),
    "export --table t": (2, "Name one database: --duckdb with the path of a file, or --postgres"),
    "export --duckdb e.duckdb": (2, "A database needs the name of a table. Give --table, too."),
    "export --destination e.csv --format pdf": (2, "format= cannot be 'pdf'."),
    "export --destination e.csv --days 2 --every day": (
        2,
        "A file holds one window, and these are 2",
    ),
    "export --destination e.csv --source a": (
        2,
        "source= and replace_other= need table=. Give table= too.",
    ),
    "health": (2, "Name one database"),
    "health --duckdb h.duckdb --timezone Asia/Kolkata": (2, "begins or ends inside of one"),
    "health --duckdb h.duckdb --show airflw": (2, "Did you mean airflow?"),
    "check": (2, "There is no rule: give --metric with --warn or --error"),
    "check --error 3": (2, "The limits need a figure: give --metric"),
    "check --metric errors.sum --error 3 --fail-on always": (2, "fail_on is error, warn or never"),
    "report --duckdb nowhere.duckdb": (
        2,
        "DuckDB file nowhere.duckdb does not exist. Land figures",
    ),
    "report --postgres postgresql://u:hunter2@h/d": (2, "give --postgres the variable's name"),
    "report --postgres NOT_SET": (2, "The environment variable NOT_SET is not set."),
    "query count --api-key=hunter2": (2, "--api-key: keys are not taken as arguments"),
    "--password hunter2 query count": (2, "--password: keys are not taken as arguments"),
    "query count --spec nowhere.yaml": (2, "nowhere.yaml cannot be read: No such file"),
    "query count --nope": (2, "No such option"),
    "nope": (2, "No such command"),
}
REFUSED.pop("query aggregate --metrics runs.sum --where status=failure")


@pytest.mark.parametrize("line", REFUSED)
def test_a_refusal_is_a_sentence(line, capsys, monkeypatch, tmp_path):
    """What cannot be done is reported in words on stderr, with a documented exit code, before any request."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VECTORSHIFT_API_KEY", raising=False)
    monkeypatch.setenv("VECTORSHIFT_BASE_URL", "http://127.0.0.1:9/v1")
    code, sentence = REFUSED[line]
    with pytest.raises(SystemExit) as ended:
        run(line.split())
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (code, "")
    assert sentence in " ".join(err.replace("│", " ").split())
    assert "hunter2" not in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("quer: {}", "has no key 'quer'. Did you mean query?"),
        ("query: {statsu: failure}", "A query has no key 'statsu'."),
        ("query: [", "is not YAML in line 1"),
        ("- a", "is described by keys and values"),
        ("api_key: hunter2", "holds api_key: keys come from the environment variable"),
        ("account: {api_key: hunter2}", "holds api_key: keys come from the environment variable"),
    ],
)
def test_a_spec_is_checked(text, sentence, capsys, tmp_path):
    """What a spec file says wrongly is named, with the nearest right word; a key in it is refused and not repeated."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(text)
    with pytest.raises(SystemExit) as ended:
        run(["query", "count", "--spec", str(spec)])
    err = capsys.readouterr().err
    assert ended.value.code == 2
    assert sentence in err
    assert "hunter2" not in err


def test_errors_of_the_service_have_codes(command, window):
    """3 where trying again cannot help, 4 where it may; with --debug there is a traceback."""
    wrong = command("query", "count", *window, code=3, VECTORSHIFT_API_KEY="sk_wrong")
    assert wrong.stderr.startswith("Error: HTTP 401 ")
    closed = ("query", "count", "--account", "retries=0", "--base-url", "http://127.0.0.1:9/v1")
    assert "Error: no answer from POST" in command(*closed, code=4).stderr
    shown = subprocess.run(
        [SCRIPT, "--debug", *closed], env=command.environment, capture_output=True, text=True
    )
    assert "Traceback" in shown.stderr


def test_a_pipe_that_is_closed_is_no_error(command, window):
    """Whoever reads only the first lines, as `head` does, leaves neither a traceback nor a failure."""
    process = subprocess.Popen(
        [SCRIPT, "query", "events", "--all", "--json", "--days", "16"],
        env=command.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"[\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 0
    process.stderr.close()


def on_terminal(command, answer, *arguments, **environment):
    """Run a command on a terminal of its own, and answer when it asks; what it showed, and its code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [SCRIPT, *arguments],
        cwd=command.folder,
        env={**command.environment, "TERM": "xterm", "COLUMNS": "120", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 1.0)[0]:
            continue
        try:
            part = os.read(ours, 4096)
        except OSError:  # its end, on Linux
            break
        if not part:
            break
        shown += part
        if answer and b"API key" in shown:
            os.write(ours, answer.encode() + b"\n")
            answer = None
    else:
        process.kill()
    os.close(ours)
    return shown.decode(errors="replace"), process.wait(timeout=60)


def test_a_terminal_is_asked_for_the_key_and_shows_progress(command, emulator, window):
    """Without a key in the environment people are asked for it, unseen; long work shows rows and rows a second."""
    arguments = ("query", "events", "--all", "--columns", "span_id", *window)
    shown, code = on_terminal(command, emulator.api_key, *arguments, VECTORSHIFT_API_KEY="")
    assert code == 0, shown[-500:]
    assert "VectorShift API key" in shown
    assert emulator.api_key not in shown
    assert "Reading events" in shown
    assert "rows/s" in shown
    assert "\x1b[1m" in shown


def test_no_color(command, window):
    """NO_COLOR takes the colours out of a terminal."""
    shown, code = on_terminal(
        command, None, "check", "--metric", "errors.sum", "--error", "0", *window, NO_COLOR="1"
    )
    assert code == 1
    assert "\x1b[31m" not in shown
    assert "\x1b[1;31m" not in shown


def test_completion(command):
    """The shell learns the commands and their options."""
    for words, index, completion in (
        ("vectorshift-orchestration he", "1", "health"),
        ("vectorshift-orchestration query cou", "2", "count"),
    ):
        found = subprocess.run(
            [SCRIPT],
            env=command.environment
            | {
                "_VECTORSHIFT_ORCHESTRATION_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": index,
            },
            capture_output=True,
            text=True,
        )
        assert found.stdout.split() == [completion]


def test_a_picture_of_the_terminal(command, window):
    """--svg keeps what the terminal shows, for documentation."""
    command("--svg", "count.svg", "query", "count", *window)
    text = (command.folder / "count.svg").read_text()
    assert text.startswith("<svg")
    assert DAY.ds in text


@pytest.mark.parametrize("missing", ["typer", "rich", "yaml"])
def test_a_missing_package_names_the_extra(missing, monkeypatch, capsys):
    """Without what the extra brings, whichever it is, the command says what to install."""
    monkeypatch.setitem(sys.modules, missing, None)
    for name in list(sys.modules):
        if name.startswith(f"{missing}."):
            monkeypatch.setitem(sys.modules, name, None)
        elif name.startswith("vectorshift_cli.") and name != starting.__name__:
            monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SystemExit) as ended:
        starting.main()
    assert ended.value.code == 2
    assert "pip install 'vectorshift-orchestration[cli]'" in capsys.readouterr().err
