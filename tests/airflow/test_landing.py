"""The operator in real Airflow: what lands, and that a second run leaves the same."""

import pytest

from tests.airflow.running import Runner, last_day, truth

pytestmark = pytest.mark.airflow


@pytest.fixture
def run(tmp_path, monkeypatch, metadata_database):
    """Runs a DAG of one export."""
    return Runner(tmp_path, monkeypatch)


def test_a_day_lands(emulator, run):
    """A run lands exactly the events of its data interval, in the file and in the table."""
    expected = truth(emulator, last_day())
    done = run()
    assert done.errors == []
    assert done.state == "success"
    assert expected == run.rows() != []
    assert done.result["rows"] == len(expected)
    assert done.result["window"] == last_day().to_dict()
    assert run.file.read_text().count("\n") >= len(expected)


def test_deferred_lands_the_same(emulator, run):
    """Deferred, the same file and rows land, and the result has the same keys and values."""
    first, second = run(), run(deferrable=True)
    assert second.errors == []
    changed = {"task_id": second.result["task_id"], "deleted": first.result["rows"]}
    assert second.result == first.result | changed
    assert run.rows() == truth(emulator, last_day())
