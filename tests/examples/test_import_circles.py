"""No module imports itself by way of others; where packages stand for their modules, `lint-imports` says the same."""

from graphlib import TopologicalSorter

import grimp

PACKAGES = (
    "vectorshift",
    "vectorshift_orchestration",
    "airflow_provider_vectorshift",
    "dagster_vectorshift",
    "vectorshift_cli",
    "vectorshift_emulator",
)


def test_no_module_imports_itself_by_way_of_others():
    """Lazy imports, imports for types only and those of a package's own `__init__` count as well."""
    graph = grimp.build_graph(*PACKAGES)
    imported = {each: graph.find_modules_directly_imported_by(each) for each in graph.modules}
    TopologicalSorter(imported).prepare()  # raises CycleError, which names the circle
