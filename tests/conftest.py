"""What holds for every test folder."""

import gc
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.days import MIDNIGHT
from tests.fault_proxy import FaultProxy, Seen
from vectorshift_emulator import serve
from vectorshift_emulator.pytest_plugin import EVENTS

LIVE = ("tests/airflow_live/", "tests/dagster/test_live.py", "tests/examples/test_up.py")
"""Real servers with all their processes: one after the other, or they take the machine from each other."""

MOST_OVERSHOOT = 2.0
"""Seconds by which a call may outlast its time, as docs/faults.md promises."""

SITE = "tests/docs/test_site.py"
"""The built site, which one process makes for all of them."""


@pytest.fixture(scope="session")
def vectorshift_emulator_session():
    """The plugin's emulator, with events up to the midnight that the run began after."""
    with serve(events=EVENTS, end=MIDNIGHT) as emulator:
        yield emulator


@pytest.fixture
def record_faults(
    record_property: Callable[[str, object], None],
) -> Callable[..., AbstractContextManager[Seen]]:
    """Count the faults of proxies, and what they did to rows, for the line at the end of a run."""

    @contextmanager
    def recording(*proxies: FaultProxy) -> Iterator[Seen]:
        seen = Seen()
        yield seen
        for proxy in proxies:
            assert not proxy.pending
            seen.injected += proxy.injected
        assert seen.injected, "no fault was injected"
        record_property("faults", dict(seen.injected))
        record_property("rows", [seen.lost, seen.duplicated, seen.wrong])

    return recording


@pytest.fixture
def record_overshoot(
    record_property: Callable[[str, object], None],
) -> Callable[[float], AbstractContextManager[None]]:
    """Hold a block to the seconds that it was given and `MOST_OVERSHOOT`, for the line at the end of a run."""

    @contextmanager
    def recording(seconds: float) -> Iterator[None]:
        began = time.monotonic()
        yield
        over = time.monotonic() - began - seconds
        record_property("overshoot", over)
        assert over < MOST_OVERSHOOT

    return recording


def pytest_configure(config):
    """Have the signals that tests send arrive: a shell starts what runs in its background deaf to Ctrl-C, and commands inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Spread the tests over the processes one by one, and the live ones together on one."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            if nodeid.startswith(LIVE):
                return "live"
            return SITE if nodeid.startswith(SITE) else nodeid

    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Let the interpreter end in silence, so that the closing line of a run is pytest's own.

    hypothesis leaves a callback in the garbage collector, which keeps DuckDB's types alive past their module; its
    binding then reports a leak on stderr.
    """
    gc.callbacks.clear()
    gc.collect()


def pytest_terminal_summary(terminalreporter):
    """Say what the tests of tests/reliability injected and what it did to rows, and how each environment did."""
    environments(terminalreporter)
    faults, rows, overshoots = Counter(), Counter(), []
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, value in report.user_properties if report.when == "call" else ():
                if name == "faults":
                    faults.update(value)
                elif name == "overshoot":
                    overshoots.append(value)
                elif name == "rows":
                    rows.update(dict(zip(("lost", "duplicated", "wrong"), value, strict=True)))
    if faults:
        rows = ", ".join(f"{count:,} {name}" for name, count in rows.items())
        terminalreporter.write_line(f"{faults.total():,} faults injected; rows: {rows}")
        kinds = ", ".join(f"{name} {count:,}" for name, count in faults.most_common())
        terminalreporter.write_line(f"  {kinds}")
    if overshoots:
        terminalreporter.write_line(
            f"{len(overshoots):,} calls without an answer outlasted their time by {max(overshoots):.2f} s at most"
        )


def environments(terminalreporter):
    """The table of tests/environments: what passed and failed under which Python."""
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, value in report.user_properties if report.when == "call" else ():
                if name == "environment":
                    where, python, counts = value
                    counted = ", ".join(f"{count} {each}" for each, count in counts.items())
                    terminalreporter.write_line(
                        f"{where:30} Python {python:5} {outcome}: {counted or 'no test'}"
                    )
