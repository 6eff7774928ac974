"""Each named test of "No silent wrong answer" with the line that it guards, and that line with the fix taken out.

This module knows the package as text only: it is loaded in processes that must import an altered copy of it.
"""

import contextlib
import io
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "vectorshift"
NAMED = "tests/sdk/test_no_silent_wrong_answer.py"
PRELOADED = ["pytest", "httpx", "msgspec", "duckdb", "starlette.routing", "uvicorn", "anyio"]
"""What does not depend on the package, loaded once for all processes."""


@dataclass(frozen=True)
class Unfix:
    """In `file` of the package, `fix` becomes `broken`; then every one of `tests` must fail."""

    tests: str
    file: str
    fix: str
    broken: str

    @property
    def names(self) -> set[str]:
        """The tests, some with the id of one of their cases."""
        return set(self.tests.splitlines())


def copied(folder: Path, unfix: Unfix | None) -> Path:
    """Copy the package to `folder`, with one place changed."""
    package = folder / "vectorshift"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    if unfix is not None:
        source = (package / unfix.file).read_text()
        if source.count(unfix.fix) != 1:
            raise ValueError(f"{unfix.file} has {source.count(unfix.fix)} times: {unfix.fix}")
        (package / unfix.file).write_text(source.replace(unfix.fix, unfix.broken))
    return folder


def run(folder: Path, names: set[str]) -> tuple[set[str], str]:
    """Run tests against the copy in `folder`, in this process; return those that failed, and pytest's output."""
    import pytest

    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.chdir(ROOT)
    plugins = ("-p", "vectorshift_emulator.pytest_plugin", "-p", "pytest_timeout")
    options = ("-q", "-rf", "--tb=line", "-p", "no:cacheprovider", *plugins)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = pytest.main([*options, *(f"{NAMED}::{name}" for name in sorted(names))])
    text = output.getvalue()
    loaded = sys.modules["vectorshift"].__file__ or ""
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not loaded.startswith(
        str(folder)
    ):
        raise RuntimeError(f"exit code {code}, package {loaded}\n{text}")
    failed = re.findall(rf"^FAILED {NAMED}::((\w+)(?:\[.*?\])?)(?: - |$)", text, re.MULTILINE)
    return {name for names in failed for name in names}, text


def failures(folder: Path, unfix: Unfix | None) -> tuple[set[str], str]:
    """The tests that fail with one fix taken out; with None, of all tests and every fix in its place."""
    names = unfix.names if unfix else {name for each in UNFIXES for name in each.names}
    return run(copied(folder, unfix), names)


UNFIXES = (
    Unfix(
        "test_object_type_alone_scopes_to_the_objects_of_that_type",
        "analytics/_spec.py",
        "if object_id is None and stated is not None:",
        "if False:",
    ),
    Unfix(
        "test_object_type_without_kinds_raises_instead_of_widening",
        "analytics/_spec.py",
        "if not members:",
        "if False:",
    ),
    Unfix(
        "test_or_on_one_data_column_is_exact_beside_other_filters",
        "analytics/_plan.py",
        "if not plain or len(columns) > 1:",
        "if True:",
    ),
    Unfix("test_lone_or_on_events_is_an_or", "analytics/_plan.py", "any_of=True", "any_of=False"),
    Unfix(
        "test_or_never_leaks_over_an_earlier_filter",
        "analytics/_plan.py",
        "if not all(_is_bound(a, _LOWER + _UPPER) for a in parts.atoms):",
        "if False:",
    ),
    Unfix(
        "test_named_filters_stay_outside_the_or",
        "analytics/_filters.py",
        "    return terms + tuple(_named(name, value) for name, value in named.items())",
        "    also = [_named(name, value) for name, value in named.items()]\n"
        "    return (FilterGroup([*terms[0].filters, *also], joined),) if also and terms else terms + tuple(also)",
    ),
    Unfix(
        "test_count_of_an_or_is_inclusion_and_exclusion",
        "analytics/_plan.py",
        "(-1) ** (size + 1),",
        "1,",
    ),
    Unfix(
        "test_or_that_a_table_or_export_cannot_say_is_refused",
        "analytics/_plan.py",
        "    if merged.groups:\n        raise _or_refused(verb)\n",
        "    merged = replace(merged, terms=sum(merged.groups, merged.atoms))\n",
    ),
    Unfix(
        "test_or_in_an_aggregation_is_refused",
        "analytics/_plan.py",
        '    if parts.groups:\n        raise _or_refused("aggregate")\n',
        "",
    ),
    Unfix(
        "test_or_within_one_object_is_refused_on_events",
        "analytics/_plan.py",
        "len(parts.groups) != 1 or spec.object_id is not None",
        "len(parts.groups) != 1",
    ),
    Unfix(
        "test_and_group_within_an_or_is_refused",
        "analytics/_filters.py",
        "if term.op is LogicalOp.AND and len(term.filters) > 1:",
        "if False:",
    ),
    Unfix(
        "test_success_status_with_a_failed_body_raises",
        "analytics/_answers.py",
        'return status is not None and str(status).lower() != "success"',
        "return False",
    ),
    Unfix(
        "test_success_status_with_foreign_json_raises",
        "analytics/_answers.py",
        'raise ValueError(f"it has neither a status nor {payload[0]}")',
        "pass",
    ),
    Unfix(
        "test_a_group_by_with_one_label_keeps_it",
        "analytics/_aggregates.py",
        'slices = buckets[0].get("nested", []) if buckets else []',
        'slices = buckets[0].get("nested", []) if buckets else []\n'
        "    slices = slices if len(slices) > 1 else buckets",
    ),
    Unfix(
        "test_a_single_label_on_an_inner_level_keeps_it",
        "analytics/_aggregates.py",
        "for name, each in slices.items()]",
        "for name, each in slices.items() if len(slices) > 1]",
    ),
    Unfix(
        "test_a_single_slice_keyed_label_is_no_operation",
        "analytics/_aggregates.py",
        "_height(rest[strange[0]]) >= levels",
        "_height(rest[strange[0]])",
    ),
    Unfix(
        "test_years_keyed_by_operation_without_totals_lose_none",
        "analytics/_aggregates.py",
        "figure = _reduce(op, values)",
        "figure = values[0]",
    ),
    Unfix(
        "test_years_keyed_by_slice_lose_none",
        "analytics/_aggregates.py",
        '{missing[0]: {"nested_result": {"nested_aggregation_map": rest}}}',
        "{missing[0]: next(iter(rest.values()))}",
    ),
    Unfix(
        "test_a_total_among_the_years_is_no_year",
        "analytics/_aggregates.py",
        "inside = slices.pop(_TOTAL, None)",
        "inside = None",
    ),
    Unfix(
        "test_what_years_cannot_be_put_together_from_raises",
        "analytics/_aggregates.py",
        "if len(years) > 1 and",
        "if False and",
    ),
    Unfix(
        "test_mean_over_known_years_is_refused_before_dispatch",
        "analytics/_flows.py",
        "if years and years[0] != years[1]:",
        "if False:",
    ),
    Unfix(
        "test_a_chained_comparison_raises\n"
        "test_and_between_filters_raises\n"
        "test_or_between_filters_raises\n"
        "test_not_of_a_filter_raises\n"
        "test_a_group_has_no_truth_value_either",
        "analytics/_filters.py",
        "def __bool__(self)",
        "def _bool(self)",
    ),
    Unfix(
        "test_not_equal_raises",
        "analytics/_fields.py",
        "        raise NotImplementedError(",
        "        return _equal(self, other)\n        raise NotImplementedError(",
    ),
    Unfix(
        "test_a_field_is_not_in_a_list_of_others",
        "analytics/_fields.py",
        "        if isinstance(other, EventField):\n            return self is other\n",
        "",
    ),
    Unfix(
        "test_different_queries_are_unequal",
        "analytics/_filters.py",
        "(type(each).__name__, each) for each in values",
        "each for each in values",
    ),
    Unfix(
        "test_equal_queries_are_equal_and_hash_equal",
        "analytics/_filters.py",
        "return type(self) is type(other) and self._key() == other._key()",
        "return self is other",
    ),
    Unfix(
        "test_a_table_offset_need_not_be_a_multiple_of_the_limit",
        "analytics/_flows.py",
        "while offset // size != (offset + limit - 1) // size:",
        "while False:",
    ),
    Unfix(
        "test_where_refuses_what_is_no_filter",
        "analytics/_filters.py",
        "terms = tuple(filterable(each) for each in positional)",
        "terms = tuple(filterable(each) for each in positional if isinstance(each, _Truthless))",
    ),
    Unfix(
        "test_several_lower_bounds_of_an_aggregation_combine",
        "analytics/_plan.py",
        "lower = max(lowers",
        "lower = min(lowers",
    ),
    Unfix(
        "test_bounds_around_a_change_of_the_clocks_compare_as_instants",
        "analytics/_validation.py",
        "return datetime.combine(value.date(), value.time(), timezone(offset)).replace(fold=0)",
        "return value",
    ),
    Unfix(
        "test_a_mistake_is_refused_before_any_request[kind]",
        "analytics/_spec.py",
        'choice(EventKind, each, "event kind") for each in values',
        "each for each in values",
    ),
    Unfix(
        "test_a_mistake_is_refused_before_any_request[format]",
        "analytics/_flows.py",
        'choice(ExportFormat, format, "export format").value',
        "str(format).upper()",
    ),
    Unfix(
        "test_a_mistake_is_refused_before_any_request[limit -5]",
        "analytics/_validation.py",
        "value < least or",
        "",
    ),
    Unfix(
        "test_a_mistake_is_refused_before_any_request[file name]",
        "analytics/_validation.py",
        "or not value.strip()",
        "",
    ),
    Unfix(
        "test_a_mistake_is_refused_before_any_request[naive time]",
        "analytics/_validation.py",
        "if offset is None:",
        "if False:",
    ),
    Unfix(
        "test_ids_are_one_quoted_path_segment[a/b?c=1#d]",
        "analytics/_requests.py",
        'quote(identifier, safe="")',
        "identifier",
    ),
    Unfix(
        "test_ids_are_one_quoted_path_segment[..]",
        "analytics/_requests.py",
        'quoted = "%2E" * len(identifier)',
        "pass",
    ),
    Unfix(
        "test_netrc_never_replaces_the_key",
        "_transport/__init__.py",
        '"follow_redirects": False,',
        '"auth": httpx.NetRCAuth(),',
    ),
    Unfix(
        "test_without_a_key_nothing_is_sent",
        "_client.py",
        'raise MissingApiKeyError("no API key is set")',
        'key = "None"',
    ),
    Unfix(
        "test_a_success_that_is_not_json_raises_our_error",
        "analytics/_calls.py",
        "        ValueError,\n        TypeError,",
        "        TypeError,",
    ),
    Unfix(
        "test_payloads_of_the_wrong_type_raise_our_error",
        "analytics/_calls.py",
        "        KeyError,\n        AttributeError,",
        "        KeyError,",
    ),
    Unfix(
        "test_a_body_cut_short_raises_our_error",
        "_transport/__init__.py",
        "except (httpx.HTTPError, httpx.InvalidURL, OSError, _Late) as error:",
        "except (OSError, _Late) as error:",
    ),
    Unfix(
        "test_every_error_pickles_with_its_attributes",
        "errors.py",
        "def __reduce__(self)",
        "def _reduce(self)",
    ),
    Unfix(
        "test_an_error_status_says_what_where_and_what_to_do",
        "errors.py",
        'return _QUERY_STRING.sub(r"\\1?***", _KEY.sub("sk_***", text))',
        "return text",
    ),
    Unfix(
        "test_a_failed_body_is_told_with_its_request_and_no_secrets",
        "errors.py",
        "if endpoint:\n            request",
        "if False:\n            request",
    ),
    Unfix(
        "test_no_answer_at_all_is_told_with_its_request",
        "_transport/__init__.py",
        "sent=not isinstance(error, _NOT_SENT)",
        "sent=True",
    ),
    Unfix(
        "test_a_query_without_its_client_says_how_to_get_one",
        "analytics/_runnable.py",
        "(self._spec, None if self._client is None else _Detached)",
        "(self._spec, None)",
    ),
)
