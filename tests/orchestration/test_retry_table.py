"""docs/errors.md tells of every error what a retry does, as its class has it."""

import re
from pathlib import Path

import vectorshift.errors
import vectorshift_orchestration.errors
from vectorshift.errors import RetryAdvice, VectorshiftError

DOCS = Path(__file__).parents[2] / "docs" / "errors.md"


def documented():
    """The error classes in the table's last column, by advice."""
    section = DOCS.read_text().split("## What a retry does")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): re.findall(r"`(\w+)`", cells[-1]) for cells in rows}


def declared():
    """The error classes of the SDK and the core, by the advice in their code."""
    modules = (vectorshift.errors, vectorshift_orchestration.errors)
    classes = {
        result
        for module in modules
        for result in vars(module).values()
        if isinstance(result, type)
        and issubclass(result, VectorshiftError)
        and result.__module__ == module.__name__
    }
    return {
        str(advice): sorted(each.__name__ for each in classes if each.retry_advice is advice)
        for advice in RetryAdvice
    }


def test_the_table_is_the_code():
    """Each error is in the row of its advice, once; no row has another."""
    assert documented() == declared()


def test_each_error_has_a_row_that_says_what_to_do():
    """Each class that is raised stands in the first column of one row; a base is named as one."""
    text = DOCS.read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = re.findall(r"`([A-Z]\w+)`", " ".join(rows))
    bases = re.findall(r"`(\w+)`", text.partition("Bases, never raised themselves: ")[2])
    assert len(named) == len(set(named))
    ours = {name for name in named if not name.startswith("VectorShift")}
    assert ours | set(bases) == set().union(*declared().values())
    assert ours.isdisjoint(bases)
