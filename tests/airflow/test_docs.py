"""Every Python block of the pages that imports Airflow is a DAG file, and Airflow reads it without the network."""

from importlib import import_module
from pathlib import Path

import pytest
import yaml

from tests.pages import blocks, commands


@pytest.mark.airflow
def test_the_blocks_are_dag_files(metadata_database, tmp_path):
    """All of them, side by side in one folder, load; those of one page have DAGs with names of their own."""
    from airflow.dag_processing.dagbag import DagBag

    written = {
        f"block_{number}.py": block for number, block in enumerate(blocks("python", "airflow"))
    }
    assert len(written) > 15
    for name, block in written.items():
        (tmp_path / name).write_text(block.text)
    found = DagBag(str(tmp_path))
    errors = {str(written[Path(file).name]): text for file, text in found.import_errors.items()}
    assert errors == {}
    files = {Path(dag.fileloc).name for dag in found.dags.values()}
    assert files == written.keys()


@pytest.mark.airflow
def test_the_operators_of_a_yaml_dag_take_their_arguments():
    """What dag-factory makes of a block, without it: classes by their path, every other key an argument."""
    from airflow.sdk import DAG

    documents = [
        yaml.safe_load(block.text)
        for block in blocks("yaml")
        if "airflow_provider_vectorshift." in block.text
    ]
    assert documents
    for document in documents:
        for dag_id, described in document.items():
            schedule = described["schedule"]
            timetable = class_of(schedule.pop("__type__"))(*schedule.pop("__args__"), **schedule)
            with DAG(dag_id, schedule=timetable):
                for task in described["tasks"]:
                    task.pop("dependencies", None)
                    class_of(task.pop("operator"))(**task)


def class_of(path):
    """The class that a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.airflow
def test_airflow_commands_exist():
    """Each `airflow` command of the pages is one that Airflow's parser takes."""
    from airflow.cli.cli_parser import get_parser

    parser = get_parser()
    found = commands("airflow")
    assert len(found) > 5
    for block, words in found:
        try:
            parser.parse_args(words[1:])
        except SystemExit:
            pytest.fail(f"{block}: {' '.join(words)}")
