"""What the benchmarks share: ways to do one thing, run in turn, each in a process of its own, and what is claimed of them.

A script that compares ways calls `in_turn(__file__, ways, rounds)`, which starts it again for each of them as
`script.py --way NAME [arguments]`; there it prints its figures as one line of JSON (`print_figures`) and ends. The official client has
our import name and lives in an environment of its own: a script names `official_python()` as the interpreter of that way, and
imports nothing but the standard library before it knows which way it is.

What was found is told by `tell(Claim(...))`: printed, and appended to the file that BENCH_RESULTS names, from which
`report.py` makes docs/performance.md.
"""

import argparse
import json
import math
import operator
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

OURS = Path(sys.executable)
_BOUNDS = {">=": operator.ge, "<=": operator.le}

Figures = dict[str, float]

BEFORE = "before "
"""The ways of another commit begin with it; BENCH_BEFORE is that commit's `src` folder."""


def official_python() -> Path:
    """The interpreter of the official client, whose environment is built when it is first asked for."""
    from tests.locked_environment import locked_python

    return locked_python(ROOT / "requirements" / "official.txt")


def dlt_python() -> Path:
    """The interpreter of dlt, which has an environment of its own as the official client has."""
    from tests.locked_environment import locked_python

    return locked_python(ROOT / "requirements" / "dlt.txt")


def arguments(description: str | None) -> argparse.Namespace:
    """`--quick` (fewer and smaller rounds), `--large` (the sizes that take longer than all benchmarks may together, where the
    script has any), and `--way NAME ...` where the script is one of its own ways."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a look, not a measurement")
    parser.add_argument("--large", action="store_true", help="sizes that take half an hour")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


def in_turn(
    script: str,
    ways: Mapping[str, Path],
    rounds: int,
    *rest: object,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Figures]:
    """Run each way once a round, another one first each time; return the median of every figure that each printed.

    Args:
        script: `__file__` of the caller.
        ways: the interpreter of each.
        rounds: how often each runs.
        rest: what each is told besides its name, as `arguments().rest`.
        environment: variables on top of this process's own, such as `Served.trust`.
    """
    found: dict[str, list[Figures]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            command = [str(ways[name]), script, "--way", name, *map(str, rest)]
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                env=os.environ | dict(environment or {}),
            )
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    return {name: medians(each) for name, each in found.items()}


def print_figures(**figures: float) -> None:
    """What one way found, for `in_turn` to read."""
    print(json.dumps(figures), flush=True)


def measured(work: Callable[[], object]) -> None:
    """Run, and print wall and CPU seconds, and how much memory grew; what the work itself prints is told only if it fails."""
    before, wall, cpu = resident(), time.perf_counter(), time.process_time()
    with TemporaryFile("w+") as printed, redirect_stdout(printed), redirect_stderr(printed):
        try:
            work()
        except BaseException:
            printed.seek(0)
            print(printed.read(), file=sys.__stderr__)
            raise
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print_figures(**seconds, growth=resident("VmHWM") - before)


def past(name: str) -> list[str]:
    """The same way of the other commit, where there is one."""
    return [BEFORE + name] if "BENCH_BEFORE" in os.environ else []


def before(name: str) -> str:
    """The name of a way without `BEFORE`; where it had that, the other commit's packages come first from now on."""
    if name.startswith(BEFORE):
        sys.path.insert(0, os.environ["BENCH_BEFORE"])
    return name.removeprefix(BEFORE)


def medians(figures: list[Figures]) -> Figures:
    """The median of each figure."""
    return {name: statistics.median(each[name] for each in figures) for name in figures[0]}


def timed(work: Callable[[], object], seconds: float, calls: int = 20) -> float:
    """Seconds of one `work()`: the least over so many seconds of batches of `calls`, which other processes disturb least."""
    least, end = math.inf, time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        for _ in range(calls):
            work()
        least = min(least, (time.perf_counter() - began) / calls)
    return least


def resident(name: str = "VmRSS") -> float:
    """MiB of this process in memory: now, or with `VmHWM` at most so far (getrusage would tell the parent's)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def slope(sizes: list[float], costs: list[float]) -> float:
    """How cost grows with size, between the smallest and the greatest: 1.0 is in proportion, 0.0 not at all."""
    return math.log(costs[-1] / costs[0]) / math.log(sizes[-1] / sizes[0])


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of docs/performance.md."""

    what: str
    """`build a query and its body`"""
    measured: float
    unit: str
    """`x official`, `x plain`, `MiB`: what the measured number counts."""
    target: str = ""
    """`>= 1.5`, or `<= 0.9`; of the same unit. Empty where there is none."""
    before: str = ""
    """What 1f6a76b gave, measured in the same way."""
    figures: str = ""
    """The medians behind it: `ours 9 µs, official 30 µs, limit 3 µs`."""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if not self.target:
            return None
        bound, _, number = self.target.partition(" ")
        return bool(_BOUNDS[bound](self.measured, float(number)))


def tell(claim: Claim) -> None:
    """Print a claim, and keep it for the report."""
    verdict = {True: ", met", False: ", MISSED", None: ""}[claim.is_met]
    target = f" (target {claim.target}{verdict})" if claim.target else ""
    print(f"{claim.what}: {claim.measured:.3g} {claim.unit}{target}", flush=True)
    if claim.figures:
        print(f"    {claim.figures}", flush=True)
    if results := os.environ.get("BENCH_RESULTS"):
        with open(results, "a") as file:
            file.write(json.dumps({"script": Path(sys.argv[0]).name} | asdict(claim)) + "\n")


def compare(
    found: dict[str, Figures],
    name: str,
    peer: str,
    what: str,
    target: str = "",
    before: str = "",
    figure: str = "wall",
) -> None:
    """Claim how many times as long as a peer we take."""
    figures = ", ".join(f"{way} {each[figure]:.2f} s" for way, each in found.items())
    times = found[name][figure] / found[peer][figure]
    tell(Claim(what, times, f"x {peer}", target, before, figures))
