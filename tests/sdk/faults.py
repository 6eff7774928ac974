"""What each named test of "No silent wrong answer" guards against: the fault by name, put into the running package.

A fault is a function that replaces one behaviour of the package by the wrong one that its docstring tells.
"""

import base64
import contextlib
import io
import netrc
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from tests.days import MIDNIGHT
from vectorshift import _bodies, _calls, _settings, _transport, errors
from vectorshift._transport import exchange, kept
from vectorshift.analytics import (
    _aggregates,
    _answers,
    _filters,
    _flows,
    _literals,
    _plan,
    _query,
    _requests,
    _runnable,
    _spec,
    _validation,
    _where,
)
from vectorshift_emulator import serve
from vectorshift_emulator.pytest_plugin import EVENTS

ROOT = Path(__file__).parents[2]
NAMED = "tests/sdk/test_no_silent_wrong_answer.py"


@dataclass(frozen=True)
class Fault:
    """With `put` into the package, every one of `tests` must fail; some are named with the id of one of their cases."""

    put: Callable[[pytest.MonkeyPatch], None]
    tests: frozenset[str]


FAULTS: list[Fault] = []


def fails(*tests):
    """Note a fault with the tests that it fails."""

    def note(put):
        FAULTS.append(Fault(put, frozenset(tests)))
        return put

    return note


class Lent:
    """The emulator of all runs, as the fixture that each run asks for."""

    def __init__(self, emulator):
        self.emulator = emulator

    @pytest.fixture
    def vectorshift_emulator(self):
        """The emulator; what a test does to it is undone."""
        yield self.emulator
        self.emulator.reset()


def failures(numbers):
    """Run the tests of each numbered fault with it, and all tests without any for None, in this process.

    Return for each those that failed, and pytest's output.
    """
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.chdir(ROOT)
    with serve(events=EVENTS, end=MIDNIGHT) as emulator:
        return {
            each: run(None if each is None else FAULTS[each], Lent(emulator)) for each in numbers
        }


def run(fault, lent):
    """Run the tests of one fault; return those that failed, and pytest's output."""
    tests = fault.tests if fault else {name for each in FAULTS for name in each.tests}
    options = ("-q", "-rf", "--tb=line", "-p", "no:cacheprovider", "-p", "pytest_timeout")
    output = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        if fault:
            fault.put(patch)
        code = pytest.main([*options, *(f"{NAMED}::{name}" for name in sorted(tests))], [lent])
    text = output.getvalue()
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"exit code {code}\n{text}")
    failed = re.findall(rf"^FAILED {NAMED}::((\w+)(?:\[.*?\])?)(?: - |$)", text, re.MULTILINE)
    return {name for names in failed for name in names}, text


# --- scope ---


@fails("test_object_type_alone_scopes_to_the_objects_of_that_type")
def object_type_is_never_sent(patch):
    """A query over one type is a query over everything."""
    patch.setattr(_spec, "_kinds_of_type", lambda object_type, chosen: chosen)


@fails("test_object_type_without_kinds_raises_instead_of_widening")
def a_type_without_kinds_scopes_nothing(patch):
    """A type that has no kinds is sent as no condition at all."""
    kinds = _spec.kinds_of
    patch.setattr(_spec, "_kinds_of_type", lambda object_type, chosen: chosen or kinds(object_type))


# --- OR ---


@fails("test_or_on_one_data_column_is_exact_beside_other_filters")
def alternatives_of_one_column_are_not_merged(patch):
    """An OR that one INCLUDES could say is refused."""
    patch.setattr(_plan, "_merged", lambda group: group)


@fails("test_lone_or_on_events_is_an_or")
def a_lone_or_is_sent_as_and(patch):
    """The request does not say OR."""
    right = _plan._lone_or

    def planned(spec, parts):
        result = right(spec, parts)
        return result and replace(result, any_of=False)

    patch.setattr(_plan, "_lone_or", planned)


@fails("test_or_never_leaks_over_an_earlier_filter")
def an_or_spreads_over_the_other_filters(patch):
    """Filters beside an OR do not stop it from being sent for the whole request."""
    right, bounds = _plan._lone_or, _plan._LOWER + _plan._UPPER

    def planned(spec, parts):
        stored = [e for e in parts.terms if isinstance(e, tuple) or _plan._is_bound(e, bounds)]
        return right(spec, replace(parts, terms=tuple(stored)))

    patch.setattr(_plan, "_lone_or", planned)


@fails("test_named_filters_stay_outside_the_or")
def named_filters_are_alternatives(patch):
    """`where(a, b, logical_op=OR, name=value)` is a or b or name=value."""
    right, named = _where.combine, _where._named

    def combined(positional, logical_op, names):
        also = (named(name, value) for name, value in names.items())
        return right((*positional, *also), logical_op, {})

    patch.setattr(_query, "combine", combined)


@fails("test_count_of_an_or_is_inclusion_and_exclusion")
def a_count_of_an_or_only_adds(patch):
    """Events that fit two alternatives are counted twice."""
    right = _plan.count_plans
    patch.setattr(_flows, "count_plans", lambda spec: [(1, plan) for _, plan in right(spec)])


@fails("test_or_that_a_table_or_export_cannot_say_is_refused")
def alternatives_are_anded(patch):
    """An OR that one request cannot say is sent as AND."""
    right = _plan._merge_groups

    def merged(parts):
        result = right(parts)
        return replace(result, terms=sum(result.groups, result.atoms))

    patch.setattr(_plan, "_merge_groups", merged)


@fails("test_or_in_an_aggregation_is_refused")
def an_aggregation_leaves_the_or_out(patch):
    """An OR of scope filters is not a condition of an aggregation."""
    right = _plan._aggregation
    patch.setattr(
        _plan, "_aggregation", lambda spec, parts: right(spec, replace(parts, terms=parts.atoms))
    )


@fails("test_or_within_one_object_is_refused_on_events")
def an_or_forgets_the_object(patch):
    """An OR within one object is sent for all objects."""
    right = _plan._lone_or
    patch.setattr(
        _plan, "_lone_or", lambda spec, parts: right(replace(spec, object_id=None), parts)
    )


@fails("test_and_group_within_an_or_is_refused")
def an_and_group_within_an_or_is_spread(patch):
    """The members of an AND group become alternatives of their own."""
    patch.setattr(_where, "_alternatives", lambda term: getattr(term, "filters", (term,)))


# --- 200 + failed ---


@fails("test_success_status_with_a_failed_body_raises")
def a_failed_body_is_not_noticed(patch):
    """Only the HTTP status is looked at."""
    patch.setattr(_answers, "_failed", lambda data: False)


@fails("test_success_status_with_foreign_json_raises")
def any_json_is_a_success(patch):
    """An object that holds nothing of the contract is an answer of nothing."""
    patch.setattr(_answers, "succeeded", lambda data, call, reply, *payload: None)


# --- labels and years ---


@fails("test_a_group_by_with_one_label_keeps_it")
def a_single_slice_is_labelled_by_the_operation(patch):
    """The shape of a flat answer depends on how many slices it has."""
    right = _aggregates.flat

    def flat(result):
        actual = right(result)
        [operation] = result["buckets"]
        return actual if len(actual) > 1 else {operation["label"]: next(iter(actual.values()))}

    patch.setattr(_aggregates, "flat", flat)


@fails("test_a_single_label_on_an_inner_level_keeps_it")
def a_single_inner_slice_is_dropped(patch):
    """A bucket with one bucket inside stands for it."""
    right = _aggregates._bucket

    def bucket(label, node, depth, op):
        result = right(label, node, depth, op)
        return result | {"nested": []} if len(result.get("nested", ())) == 1 else result

    patch.setattr(_aggregates, "_bucket", bucket)


@fails("test_a_single_slice_keyed_label_is_not_an_operation")
def a_single_outer_label_is_the_operation(patch):
    """How deep the answer is does not matter."""
    patch.setattr(_aggregates, "_height", lambda node: 99)


@fails("test_years_keyed_by_operation_without_totals_lose_none")
def several_years_are_the_first(patch):
    """Slices are not put together."""
    patch.setattr(_aggregates, "_combined", lambda op, parts: parts[0] if parts else None)


@fails("test_years_keyed_by_slice_lose_none")
def slices_in_place_of_the_operation_are_the_first(patch):
    """Of an answer that is keyed by its slices, one is read."""
    right = _aggregates._nodes

    def nodes(data, operations, levels):
        result = right(data, operations, levels)
        return {
            name: next(iter(_aggregates._slices(node)[0].values())) for name, node in result.items()
        }

    patch.setattr(_aggregates, "_nodes", nodes)


@fails("test_a_total_among_the_years_is_not_a_year")
def a_total_among_the_slices_is_one_of_them(patch):
    """The label of a total is not known."""
    patch.setattr(_aggregates, "_TOTAL", "another label")


@fails("test_what_years_cannot_be_put_together_from_raises")
def a_figure_of_several_years_is_the_first(patch):
    """A mean, a percentile, a distinct count of the first year stands for all."""

    def over_years(bucket, op):
        return {"label": bucket["label"], "value": bucket["nested"][0]["value"]}

    patch.setattr(_aggregates, "_over_years", over_years)


@fails("test_mean_over_known_years_is_refused_before_dispatch")
def the_years_of_a_query_are_unknown(patch):
    """A mean over several years is requested."""
    patch.setattr(_flows, "calendar_years", lambda spec: None)


# --- truth and equality ---


@fails(
    "test_a_chained_comparison_raises",
    "test_and_between_filters_raises",
    "test_or_between_filters_raises",
    "test_not_of_a_filter_raises",
    "test_a_group_has_no_truth_value_either",
)
def filters_are_true(patch):
    """As any object is."""
    patch.delattr(_filters._Truthless, "__bool__")


@fails("test_not_equal_raises")
def not_equal_is_equal(patch):
    """`!=` builds an equality."""
    patch.setattr(_filters.EventField, "__ne__", _filters.equal)


@fails("test_a_field_is_not_in_a_list_of_others")
def fields_compared_with_fields_give_filters(patch):
    """Comparing two members builds a filter."""
    patch.setattr(
        _filters.EventField, "__eq__", lambda field, other: _filters.equal(field, str(other))
    )


@fails("test_different_queries_are_unequal")
def values_of_different_types_are_equal(patch):
    """1, 1.0 and True are one value."""
    patch.setattr(_filters, "_typed", lambda value: value if isinstance(value, tuple) else (value,))


@fails("test_equal_queries_are_equal_and_hash_equal")
def filters_are_compared_by_identity(patch):
    """As any object is."""
    patch.setattr(_filters._Truthless, "__eq__", object.__eq__)


# --- pages and bounds ---


@fails("test_a_table_offset_need_not_be_a_multiple_of_the_limit")
def a_table_begins_at_a_multiple_of_the_limit(patch):
    """The offset is rounded down."""
    patch.setattr(_flows, "table_page", lambda limit, offset: (limit, offset // limit * limit))


@fails("test_where_refuses_what_is_not_a_filter")
def what_is_no_filter_is_left_out(patch):
    """where() drops arguments that it does not know."""
    right = _where.combine

    def combined(positional, logical_op, names):
        existing = (each for each in positional if isinstance(each, _filters._Truthless))
        return right(tuple(existing), logical_op, names)

    patch.setattr(_query, "combine", combined)


@fails("test_several_lower_bounds_of_an_aggregation_combine")
def the_first_bound_counts(patch):
    """Later, tighter bounds are left out."""
    patch.setattr(_plan, "_bounds", lambda parts: (parts.start, parts.end))


@fails(
    "test_bounds_around_a_change_of_the_clocks_compare_as_instants",
    "test_a_mistake_is_refused_before_any_request[naive time]",
)
def times_are_taken_as_they_come(patch):
    """A datetime keeps its zone, or has none."""
    right = _literals.scalar

    def scalar(value, label):
        return value if isinstance(value, datetime) else right(value, label)

    patch.setattr(_literals, "scalar", scalar)


# --- mistakes ---


@fails("test_a_mistake_is_refused_before_any_request[kind]")
def kinds_are_not_checked(patch):
    """Any word is a kind."""
    patch.setattr(_spec, "event_kinds", tuple)


@fails("test_a_mistake_is_refused_before_any_request[format]")
def formats_are_not_checked(patch):
    """Any word is a format."""
    patch.setattr(
        _flows, "choice", lambda enum, value, noun: SimpleNamespace(value=str(value).upper())
    )


@fails("test_a_mistake_is_refused_before_any_request[limit -5]")
def sizes_are_not_checked(patch):
    """Any number is a limit."""
    patch.setattr(_validation, "_integer", lambda value, name, least: value)


@fails("test_a_mistake_is_refused_before_any_request[file name]")
def texts_are_not_checked(patch):
    """Blanks are a name."""
    patch.setattr(_validation, "text", lambda value, name: str(value))


@fails("test_ids_are_one_quoted_path_segment[a/b?c=1#d]")
def ids_are_not_quoted(patch):
    """An id is part of the path as it is."""
    patch.setattr(_requests, "quote", lambda text, safe: text)


@fails("test_ids_are_one_quoted_path_segment[..]")
def ids_of_dots_are_steps(patch):
    """An id of dots climbs out of its folder."""

    def get(template, identifier, query=()):
        path = re.sub(r"\{\w+\}", quote(identifier, safe=""), template)
        return _calls.Call("GET", path, template)

    patch.setattr(_requests, "_get", get)


# --- the key ---


@fails("test_netrc_never_replaces_the_key")
def netrc_is_read(patch):
    """Credentials come from the netrc file where it knows the host."""
    right = _transport._fields

    def fields(key):
        user, _, password = netrc.netrc(os.environ["NETRC"]).authenticators("127.0.0.1")
        output = base64.b64encode(f"{user}:{password}".encode()).decode()
        return right(key) | {"Authorization": f"Basic {output}"}

    patch.setattr(_transport, "_fields", fields)


@fails("test_without_a_key_nothing_is_sent")
def no_key_is_the_key_none(patch):
    """Without a key, "Bearer None" is sent."""
    right = _settings.of_the_process
    patch.setattr(_settings, "of_the_process", lambda name: right(name) or "None")


# --- bodies ---


@fails(
    "test_a_success_that_is_not_json_raises_our_error",
    "test_payloads_of_the_wrong_type_raise_our_error",
)
def errors_of_reading_come_as_they_are(patch):
    """What a decoder or a reader raises is not turned into an error of ours."""

    def answer(call, reply, read):
        return read(_calls.decode(reply.body), call, reply)

    patch.setattr(_calls, "answer", answer)
    patch.setattr(_flows, "answer", answer)


@fails("test_a_body_cut_short_raises_our_error")
def errors_of_http_come_as_they_are(patch):
    """What the HTTP library raises is not turned into a reply."""

    def no_reply(problem, address, *, late):
        raise problem

    patch.setattr(_transport, "_no_reply", no_reply)


@fails("test_the_answer_to_another_question_raises")
def what_else_an_answer_holds_is_not_looked_at(patch):
    """An answer with another one's payload is one that left its own out."""
    patch.setattr(_answers, "_PAYLOADS", ())


# --- errors ---


@fails("test_every_error_pickles_with_its_attributes")
def errors_pickle_by_their_arguments(patch):
    """As Python's own do."""
    patch.delattr(errors.VectorshiftError, "__reduce__")


@fails("test_an_error_status_says_what_where_and_what_to_do")
def secrets_are_shown(patch):
    """Nothing is taken out of what the service said."""
    patch.setattr(_bodies, "redact", lambda text, *secrets: text)


@fails("test_a_failed_body_is_reported_with_its_request_and_no_secrets")
def a_failed_body_is_told_without_its_request(patch):
    """Only the reason is reported."""
    patch.setattr(_answers, "context", lambda call, reply: {})


@fails("test_no_answer_at_all_is_reported_with_its_request")
def every_request_may_have_arrived(patch):
    """A connection that was refused is reported as one that broke."""
    patch.setattr(kept, "not_connected", exchange.broken)


@fails("test_a_query_without_its_client_says_how_to_get_one")
def a_pickled_query_runs_as_the_default_account(patch):
    """Its client is forgotten."""
    patch.setattr(
        _runnable.Runnable, "__reduce__", lambda query: (type(query), (query._spec, None))
    )
