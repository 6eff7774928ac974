"""The trace loader: one real request is one run, its tokens are the file's."""

import csv
from datetime import datetime

import pytest

from vectorshift_emulator import catalogue, traces

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"


def written(tmp_path, text, name="conv.csv"):
    """A trace file with this text below the header."""
    path = tmp_path / name
    path.write_text(HEADER + text, newline="")
    return path


def rows(store, columns):
    """These columns of all events, in order of insertion."""
    return store.cursor().execute(f"SELECT {columns} FROM events ORDER BY rowid").fetchall()


def test_a_request_is_one_run_at_its_time_with_its_tokens(store, tmp_path):
    """A line becomes one root run at its time, cut to milliseconds, with both token counts."""
    path = written(tmp_path, "2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50,0,9")
    assert traces.load(store.cursor(), path) == 2
    found = rows(
        store,
        """start_time, span_kind, is_run, parent_span_id, tokens,
        (span_attributes->>'prompt_tokens')::INT, (span_attributes->>'completion_tokens')::INT""",
    )
    first, second = datetime(2023, 11, 16, 18, 15, 46, 680000), datetime(2023, 11, 16, 18, 15, 50)  # noqa: DTZ001
    assert found == [
        (first, "chatbot.run", True, None, 418, 374, 44),
        (second, "chatbot.run", True, None, 9, 0, 9),
    ]


def test_code_requests_are_pipeline_runs(store, tmp_path):
    """A file named *code.csv holds runs of a pipeline."""
    path = written(tmp_path, "2023-11-16 18:17:03.9,10,5\n", "AzureLLMInferenceTrace_code.csv")
    traces.load(store.cursor(), path)
    assert rows(store, "entity, object_id, pipeline_id, run_id = execution_id") == [
        ("pipeline", "pl_code_1", "pl_code_1", True)
    ]


def test_what_is_derived_is_said_and_consistent(store, tmp_path):
    """Derived values fit together and are listed; a second load elsewhere derives the same."""
    lines = "".join(f"2023-11-16 18:15:{k % 60:02d}.1234567,{k},{k // 2}\n" for k in range(500))
    traces.load(store.cursor(), written(tmp_path, lines))
    prices = {model.model_id: model for model in catalogue.MODELS}
    for model, prompt, completion, costs in rows(
        store,
        """model_id, (span_attributes->>'prompt_tokens')::INT,
        (span_attributes->>'completion_tokens')::INT, model_costs""",
    ):
        assert costs == prices[model].nano_usd(prompt, completion) / 1e9
    assert set(rows(store, "latency = epoch_ms(end_time) - epoch_ms(start_time)")) == {(True,)}
    assert set(rows(store, "(error_message IS NOT NULL) = (status = 'failure')")) == {(True,)}
    assert len(set(rows(store, "model_id"))) == len(catalogue.MODELS)
    assert {status for (status,) in rows(store, "status")} == {"success", "failure"}
    derived = rows(store, "span_attributes->'derived'")[0][0]
    assert "status" in derived
    assert "tokens" not in derived
    before = rows(store, "*")
    store.cursor().execute("DELETE FROM events")
    traces.load(store.cursor(), written(tmp_path, lines))
    assert rows(store, "*") == before


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
def test_a_malformed_line_is_named_and_nothing_loaded(store, tmp_path, line, problem):
    """The error names file and line, and the good lines before it are not inserted."""
    path = written(tmp_path, f"2023-11-16 18:15:46.6805900,374,44\n{line}\n")
    with pytest.raises(traces.TraceFileError, match=rf"conv\.csv, line 3: .*{problem}"):
        traces.load(store.cursor(), path)
    assert store.count() == 0


def test_a_file_that_is_no_trace_is_refused(store, tmp_path):
    """A foreign name, a foreign header, no file and no text are errors that name the file."""
    other = tmp_path / "other.csv"
    other.write_text(HEADER)
    with pytest.raises(traces.TraceFileError, match=r"other\.csv: the file name must end in"):
        traces.load(store.cursor(), other)
    with pytest.raises(traces.TraceFileError, match=r"conv\.csv: cannot be read"):
        traces.load(store.cursor(), tmp_path / "conv.csv")
    (tmp_path / "conv.csv").write_text("a,b\n1,2\n")
    with pytest.raises(traces.TraceFileError, match=r"conv\.csv, line 1: expected TIMESTAMP"):
        traces.load(store.cursor(), tmp_path / "conv.csv")
    (tmp_path / "conv.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(traces.TraceFileError, match=r"conv\.csv: cannot be read"):
        traces.load(store.cursor(), tmp_path / "conv.csv")


def test_an_empty_trace_is_no_rows(store, tmp_path):
    """A file with a header alone loads zero rows."""
    assert traces.load(store.cursor(), written(tmp_path, "")) == 0


def test_a_trace_loads_once(store, tmp_path):
    """A second load of the same file is refused, since its rows are there."""
    path = written(tmp_path, "2023-11-16 18:15:46.6805900,374,44\n")
    traces.load(store.cursor(), path)
    with pytest.raises(traces.TraceFileError, match="loaded already"):
        traces.load(store.cursor(), path)
    assert store.count() == 1


def test_the_real_traces_are_loaded_whole(store, real_traces):
    """Runs and tokens by service equal those summed from the files."""
    if real_traces is None:
        return
    loaded = sum(
        traces.load(store.cursor(), real_traces / name) for name in ("conv.csv", "code.csv")
    )
    assert loaded == store.count() == 28_185
    for name, entity in (("conv.csv", "chatbot"), ("code.csv", "pipeline")):
        with (real_traces / name).open(newline="") as file:
            lines = list(csv.DictReader(file))
        tokens = sum(int(line["ContextTokens"]) + int(line["GeneratedTokens"]) for line in lines)
        first = datetime.fromisoformat(lines[0]["TIMESTAMP"][:23])
        facts = (
            store.cursor()
            .execute(
                """SELECT count(*), count(DISTINCT span_id), count(DISTINCT trace_id),
            sum(is_run::INT), sum(tokens), min(start_time) FROM events WHERE entity = $1""",
                [entity],
            )
            .fetchone()
        )
        runs = len(lines)
        assert facts == (runs, runs, runs, runs, tokens, first)
