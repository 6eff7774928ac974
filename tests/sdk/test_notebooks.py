"""Queries and results in a notebook: readable, without secrets, and as the tables of the usual libraries."""

import json
import pickle
import sys
from datetime import UTC, datetime

import pytest

from vectorshift import Client


@pytest.fixture
def client(vectorshift_emulator):
    """The account of the session's emulator, with one event of a hostile message."""
    vectorshift_emulator.insert(
        [{"error_message": "<script>alert(1)</script>", "status": "failure", "object_id": "pl_x"}]
    )
    with Client(vectorshift_emulator.api_key, vectorshift_emulator.base_url) as client:
        yield client


def results(client):
    """A page of events, a page of a table, and an aggregation by two dimensions."""
    from vectorshift.analytics import EventField, GroupBy

    query = client.query(object_ids=["pl_1"])
    since = query.where(datetime(2025, 1, 1, tzinfo=UTC) <= EventField.EVENT_START_TIME)
    yield query.events(limit=5)
    yield query.table(["event_id", "status", "latency"], limit=5)
    yield since.raw_aggregate(["runs.sum", "errors.sum"], [GroupBy.MODEL_ID])


def test_results_become_tables(client):
    """Each result gives the same rows in Arrow, pandas and polars, and stays the dict that it was."""
    for result in results(client):
        arrow, pandas, polars = result.to_arrow(), result.to_pandas(), result.to_polars()
        assert arrow.num_rows == len(pandas) == len(polars) > 0
        assert arrow.column_names == list(pandas.columns) == polars.columns
        assert pickle.loads(pickle.dumps(result)) == result == json.loads(json.dumps(result))
        assert result._repr_html_().startswith("<table>")


def test_figures_have_a_column_for_each_dimension_and_metric(client):
    """A row for each slice: its labels, and its figures beside each other."""
    *_, figures = results(client)
    first = figures["buckets"][0]
    table = figures.to_arrow()
    assert table.column_names == ["MODEL_ID", "runs_sum", "errors_sum"]
    assert table["MODEL_ID"].to_pylist() == [each["label"] for each in first["nested"]]
    assert table["runs_sum"].to_pylist() == [each["value"] for each in first["nested"]]


def test_what_people_look_at_has_no_markup_and_no_key(client):
    """Users' own texts are text; a query shows its parts and no key; a task hides its signed address."""
    page = client.query(object_ids=["pl_x"]).events()
    assert "&lt;script&gt;" in page._repr_html_()
    assert "<script" not in page._repr_html_()
    query = client.query(object_ids=["<b>"]).where(status="failure")
    assert "&lt;b&gt;" in query._repr_html_()
    assert client._api_key not in query._repr_html_() + repr(query)
    task = client.query(object_ids=["pl_1"]).export_and_wait("CSV", "x.csv")
    assert task["download_url"].startswith("http")
    assert task["download_url"] not in repr(task)
    assert "'download_url': '***'" in repr(task)


@pytest.mark.parametrize(
    ("library", "method"),
    [("pyarrow", "to_arrow"), ("pandas", "to_pandas"), ("polars", "to_polars")],
)
def test_a_missing_library_is_named(library, method, client, monkeypatch):
    """Each needs its own library and no other, and says what to install."""
    page = client.query().events(limit=1)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError, match=rf"{method}\(\) needs {library}: pip install"):
        getattr(page, method)()
