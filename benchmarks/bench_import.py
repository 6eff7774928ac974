"""What importing costs: our SDK beside the official client, and our provider on top of Airflow.

CPU seconds of a fresh interpreter, interleaved, medians; each figure is over a bare interpreter of the same environment.
"""

import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.locked_environment import locked_python  # noqa: E402  # after the path is set

ROUNDS = 9


def cpu(python: Path, code: str) -> float:
    """CPU milliseconds of one interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([python, "-c", code], check=True, capture_output=True, cwd="/")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Measure and print."""
    ours = Path(sys.executable)
    theirs = locked_python(ROOT / "requirements" / "official.txt")
    analytics = "from vectorshift import Analytics"
    cases = {
        "bare, ours": (ours, "pass"),
        "bare, official": (theirs, "pass"),
        "ours": (ours, analytics),
        "official": (theirs, analytics),
        "airflow": (ours, "import airflow"),
        "airflow + provider": (ours, "import airflow, airflow_provider_vectorshift.operators"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, (python, code) in cases.items():
            seconds[name].append(cpu(python, code))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    own = median["ours"] - median["bare, ours"]
    official = median["official"] - median["bare, official"]
    added = median["airflow + provider"] - median["airflow"]
    print(
        f"from vectorshift import Analytics   ours {own:.0f} ms CPU, official {official:.0f} ms: {official / own:.0f}x"
    )
    print(f"our operators after import airflow  {added:+.0f} ms CPU on {median['airflow']:.0f} ms")


if __name__ == "__main__":
    main()
