"""Every Python block of docs/airflow.md is a DAG file that Airflow reads, without the network."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "airflow.md"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


@pytest.mark.airflow
def test_the_blocks_are_dag_files(metadata_database, tmp_path):
    """All of them, side by side in one folder, give one DAG each, with names of their own."""
    from airflow.dag_processing.dagbag import DagBag

    assert BLOCKS
    for number, block in enumerate(BLOCKS):
        (tmp_path / f"block_{number}.py").write_text(block)
    found = DagBag(str(tmp_path))
    assert found.import_errors == {}
    files = sorted(Path(dag.fileloc).name for dag in found.dags.values())
    assert files == sorted(path.name for path in tmp_path.glob("*.py"))
