"""Import the SDK

CPU of a fresh interpreter over that of a bare one of the same environment: `from vectorshift import Analytics` out of our package and out of
the official client.
"""

import resource
import subprocess
import sys
from pathlib import Path

from side_by_side import OURS, Claim, arguments, in_turn, official_python, print_figures, tell

ANALYTICS = "from vectorshift import Analytics"
CODE = {
    "bare": "pass",
    "bare official": "pass",
    "ours": ANALYTICS,
    "official": ANALYTICS,
}


def cpu(python: str, code: str) -> float:
    """CPU milliseconds of one interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([python, "-c", code], check=True, capture_output=True, cwd="/")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    if options.way:
        print_figures(cpu=cpu(sys.executable, CODE[options.way]))
        return
    theirs = official_python()
    for python in (theirs, OURS):
        cpu(str(python), ANALYTICS)  # compiles what an installation has compiled
    ways: dict[str, Path] = {name: theirs if "official" in name else OURS for name in CODE}
    found = in_turn(__file__, ways, 3 if options.quick else 5)
    cost = {name: each["cpu"] for name, each in found.items()}
    own = max(cost["ours"] - cost["bare"], 0.1)  # less cannot be told from none
    official = cost["official"] - cost["bare official"]
    tell(
        Claim(
            "import Analytics",
            official / own,
            "x official",
            ">= 300",
            "580",
            f"ours {own:.1f} ms CPU over a bare interpreter, official {official:.0f} ms",
        )
    )


if __name__ == "__main__":
    main()
