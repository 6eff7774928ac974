"""Every Python block of the pages that imports Airflow is a DAG file, and Airflow reads it without the network."""

from pathlib import Path

import pytest

from tests.pages import blocks


@pytest.mark.airflow
def test_the_blocks_are_dag_files(metadata_database, tmp_path):
    """All of them, side by side in one folder, load; those of one page have DAGs with names of their own."""
    from airflow.dag_processing.dagbag import DagBag

    written = {
        f"block_{number}.py": block for number, block in enumerate(blocks("python", "airflow"))
    }
    assert len(written) > 6
    for name, block in written.items():
        (tmp_path / name).write_text(block.text)
    found = DagBag(str(tmp_path))
    errors = {str(written[Path(file).name]): text for file, text in found.import_errors.items()}
    assert errors == {}
    files = {Path(dag.fileloc).name for dag in found.dags.values()}
    assert files == written.keys()
