"""Every Python block of the pages that imports Dagster runs as it stands, and what it defines can be loaded."""

import dagster as dg
import pytest

from dagster_vectorshift import DuckDBStorage, VectorShiftResource
from tests.pages import blocks

BLOCKS = blocks("python", "dagster")


@pytest.mark.parametrize("block", BLOCKS, ids=map(str, BLOCKS))
def test_what_a_block_defines_can_be_loaded(block):
    """No key and no service is needed for it."""
    names = {"__name__": "page"}
    exec(compile(block.text, str(block), "exec"), names)
    resources = {"vectorshift": VectorShiftResource(api_key=dg.EnvVar("VECTORSHIFT_API_KEY"))}
    assets = [each for each in names.values() if isinstance(each, dg.AssetsDefinition)]
    storage = {"storage": DuckDBStorage(path="health.duckdb")}
    defs = names.get("defs") or dg.Definitions(assets, resources=resources | storage)
    dg.Definitions.validate_loadable(defs)
