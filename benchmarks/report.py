"""Run the benchmarks and write docs/performance.md: which machine, which day, each ratio beside its target.

    python benchmarks/report.py [--quick] [bench_query.py ...]

`--quick` prints, and leaves the page as it is; with names, the page has those scripts only.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"
PREFACE = """# Performance

Written by `make bench`; each line is printed by the script under `benchmarks/` that its heading names. Ways to do the same thing run in
turn on one machine, each in a process of its own where state matters, against canned replies; the figures are medians. Ratios carry
over to other machines, seconds do not, and a load above the number of cores spoils both. `x official` is the official client's time over ours (above 1 we are faster); `x` anything else
is our time over that. *Before* is commit 1f6a76b.
"""
APART = {HERE / "bench_databases.py", HERE / "bench_scale.py"}
"""Commands of their own, whose figures are elsewhere: with them all would take longer than ten minutes."""
LAST = (
    "What takes longer, and why targets are missed: [limits of performance](performance-limits.md)."
)


def machine() -> str:
    """One line about where this ran."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = text.partition("model name")[2].partition(":")[2].partition("\n")[0].strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model or platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"{memory:.0f} GiB, {platform.system()} {platform.release()}, Python {platform.python_version()}; "
        f"load {os.getloadavg()[2]:.1f}"
    )


def page(claims: list[dict[str, object]], docs: dict[str, str], minutes: float) -> str:
    """docs/performance.md."""
    lines = [PREFACE, f"{datetime.now(UTC):%Y-%m-%d}, {minutes:.0f} minutes; {machine()}.", ""]
    for script, doc in docs.items():
        rows = [claim for claim in claims if claim["script"] == script]
        if not rows:
            continue
        lines += [f"## {doc.partition(chr(10))[0]}", "", f"`{script}`", ""]
        lines += ["| | before | target | after | medians |", "|---|---|---|---|---|"]
        for row in rows:
            after = f"{row['measured']:.3g} {row['unit']}"
            cells = (row["what"], row["before"], row["target"], f"**{after}**", row["figures"])
            lines.append("|".join(["", *map(str, cells), ""]))
        lines.append("")
    return "\n".join([*lines, LAST, ""])


def main() -> int:
    """Run all of them; a script that fails is told at the end, and the page is left as it was."""
    quick = [each for each in sys.argv[1:] if each == "--quick"]
    named = [HERE / each for each in sys.argv[1:] if each != "--quick"]
    began = time.monotonic()
    docs, failed = {}, []
    with tempfile.NamedTemporaryFile(prefix="bench-", suffix=".jsonl") as results:
        for script in named or sorted({*HERE.glob("bench_*.py")} - APART):
            print(f"== {script.name}", flush=True)
            docs[script.name] = script.read_text().split('"""')[1]
            done = subprocess.run(
                [sys.executable, str(script), *quick],
                env=os.environ | {"BENCH_RESULTS": results.name},
                check=False,
            )
            if done.returncode:
                failed.append(script.name)
        claims = [json.loads(line) for line in Path(results.name).read_text().splitlines()]
    if failed:
        print(f"failed: {', '.join(failed)}; {PAGE.name} is left as it was", file=sys.stderr)
        return 1
    if not quick:
        PAGE.write_text(page(claims, docs, (time.monotonic() - began) / 60))
    return 0


if __name__ == "__main__":
    sys.exit(main())
