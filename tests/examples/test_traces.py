"""The trace loader of `make demo`: one real request is one run, its tokens are the file's."""

import csv
import os
from pathlib import Path

import pytest

from dags_examples import traces
from vectorshift_emulator import serve
from vectorshift_emulator.data import catalogue

TRACES = Path(__file__).parents[3] / "shared" / "data" / "azure-llm-traces"


@pytest.fixture(scope="module")
def running():
    """An emulator without events."""
    with serve(events=0) as emulator:
        yield emulator


@pytest.fixture
def service(running):
    """The same; what a test loads is gone after it."""
    yield running
    running.reset()


@pytest.fixture
def real_traces(capsys) -> Path | None:
    """The folder of the real traces; None, said in one line, where it is absent (not in CI)."""
    if TRACES.is_dir():
        return TRACES
    if os.environ.get("CI"):
        pytest.fail(f"{TRACES} is absent: CI must have the real traces")
    with capsys.disabled():
        print(f"\n{TRACES} is absent: the real traces were not checked")  # noqa: T201
    return None


HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"


def written(tmp_path, text, name="conv.csv"):
    """A trace file with this text below the header."""
    path = tmp_path / name
    path.write_text(HEADER + text, newline="")
    return path


def rows(service, columns):
    """These columns of all events, in order of insertion."""
    return [
        tuple(row.values()) for row in service.truth(f"SELECT {columns} FROM events ORDER BY rowid")
    ]


def count(service):
    """How many events there are."""
    return service.truth("SELECT count(*) AS n FROM events")[0]["n"]


def test_a_request_is_one_run_at_its_time_with_its_tokens(service, tmp_path):
    """A line becomes one root run at its time, cut to milliseconds, with both token counts."""
    path = written(tmp_path, "2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50,0,9")
    assert traces.load(service, path) == 2
    result = rows(
        service,
        """start_time, span_kind, is_run, parent_span_id, tokens,
        (span_attributes->>'prompt_tokens')::INT, (span_attributes->>'completion_tokens')::INT""",
    )
    first, second = "2023-11-16T18:15:46.680Z", "2023-11-16T18:15:50.000Z"
    assert result == [
        (first, "chatbot.run", True, None, 418, 374, 44),
        (second, "chatbot.run", True, None, 9, 0, 9),
    ]


def test_code_requests_are_pipeline_runs(service, tmp_path):
    """A file named *code.csv holds runs of a pipeline."""
    path = written(tmp_path, "2023-11-16 18:17:03.9,10,5\n", "AzureLLMInferenceTrace_code.csv")
    traces.load(service, path)
    assert rows(service, "entity, object_id, pipeline_id, run_id = execution_id") == [
        ("pipeline", "pl_code_1", "pl_code_1", True)
    ]


def test_what_is_derived_is_said_and_consistent(service, tmp_path):
    """Derived values fit together and are listed; a second load elsewhere derives the same."""
    lines = "".join(f"2023-11-16 18:15:{k % 60:02d}.1234567,{k},{k // 2}\n" for k in range(500))
    traces.load(service, written(tmp_path, lines))
    prices = {model.model_id: model for model in catalogue.MODELS}
    for model, prompt, completion, costs in rows(
        service,
        """model_id, (span_attributes->>'prompt_tokens')::INT,
        (span_attributes->>'completion_tokens')::INT, model_costs""",
    ):
        assert costs == prices[model].nano_usd(prompt, completion) / 1e9
    assert set(rows(service, "latency = epoch_ms(end_time) - epoch_ms(start_time)")) == {(True,)}
    assert set(rows(service, "(error_message IS NOT NULL) = (status = 'failure')")) == {(True,)}
    assert len(set(rows(service, "model_id"))) == len(catalogue.MODELS)
    assert {status for (status,) in rows(service, "status")} == {"success", "failure"}
    (derived,) = rows(service, "span_attributes->'derived' AS derived")[0]
    assert "status" in derived
    assert "tokens" not in derived
    before = rows(service, "*")
    service.reset()
    traces.load(service, written(tmp_path, lines))
    assert rows(service, "*") == before


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("2023-11-16 18:15:46.1,374", "expected 3 fields"),
        ("2023-11-16 18:15:46.1,374,44,1", "expected 3 fields"),
        ("", "expected 3 fields"),
        ("2023-11-16,374,44", "not a time"),
        ("2023-11-16 18:15:46.1x,374,44", "not a time"),
        ("2023-02-30 18:15:46.1,374,44", "day is out of range"),
        ("2023-11-16 18:15:46.1,-1,44", "ContextTokens must be"),
        ("2023-11-16 18:15:46.1,374,1.5", "GeneratedTokens must be"),
        ("2023-11-16 18:15:46.1,374,99999999999", "GeneratedTokens must be"),
        ('2023-11-16 18:15:46.1,"374,44', "unexpected end of data"),
    ],
)
def test_a_malformed_line_is_named_and_nothing_loaded(service, tmp_path, line, problem):
    """The error names file and line, and the good lines before it are not inserted."""
    path = written(tmp_path, f"2023-11-16 18:15:46.6805900,374,44\n{line}\n")
    with pytest.raises(traces.TraceFileError, match=rf"conv\.csv, line 3: .*{problem}"):
        traces.load(service, path)
    assert count(service) == 0


def test_a_file_that_is_not_a_trace_is_refused(service, tmp_path):
    """A foreign name, a foreign header, no file and no text are errors that name the file."""
    other = tmp_path / "other.csv"
    other.write_text(HEADER)
    with pytest.raises(traces.TraceFileError, match=r"other\.csv: the file name must end in"):
        traces.load(service, other)
    with pytest.raises(traces.TraceFileError, match=r"conv\.csv: cannot be read"):
        traces.load(service, tmp_path / "conv.csv")
    (tmp_path / "conv.csv").write_text("a,b\n1,2\n")
    with pytest.raises(traces.TraceFileError, match=r"conv\.csv, line 1: expected TIMESTAMP"):
        traces.load(service, tmp_path / "conv.csv")
    (tmp_path / "conv.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(traces.TraceFileError, match=r"conv\.csv: cannot be read"):
        traces.load(service, tmp_path / "conv.csv")


def test_an_empty_trace_gives_no_rows(service, tmp_path):
    """A file with a header alone loads zero rows."""
    assert traces.load(service, written(tmp_path, "")) == 0


def test_a_trace_loads_once(service, tmp_path):
    """A second load of the same file is refused, since its rows are there."""
    path = written(tmp_path, "2023-11-16 18:15:46.6805900,374,44\n")
    traces.load(service, path)
    with pytest.raises(traces.TraceFileError, match="loaded already"):
        traces.load(service, path)
    assert count(service) == 1


def test_the_real_traces_are_loaded_whole(service, real_traces):
    """Runs and tokens by service equal those summed from the files."""
    if real_traces is None:
        return
    loaded = sum(traces.load(service, real_traces / name) for name in ("conv.csv", "code.csv"))
    assert loaded == count(service) == 28_185
    for name, entity in (("conv.csv", "chatbot"), ("code.csv", "pipeline")):
        with (real_traces / name).open(newline="") as file:
            lines = list(csv.DictReader(file))
        tokens = sum(int(line["ContextTokens"]) + int(line["GeneratedTokens"]) for line in lines)
        first = f"{lines[0]['TIMESTAMP'][:10]}T{lines[0]['TIMESTAMP'][11:23]}Z"
        (facts,) = service.truth(
            "SELECT count(*) AS events, count(DISTINCT span_id) AS spans, count(DISTINCT trace_id) AS traces,"
            " sum(is_run::INT) AS runs, sum(tokens) AS tokens, min(start_time) AS first"
            f" FROM events WHERE entity = '{entity}'"
        )
        runs = len(lines)
        assert tuple(facts.values()) == (runs, runs, runs, runs, tokens, first)
