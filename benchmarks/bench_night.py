"""One night: a file of exported events, downloaded, checked and loaded

The night into PostgreSQL (fsync off) stands beside a script that downloads and copies, and one that makes our checks with pyarrow and a set
of ids before it copies; the download stands beside curl that hashes and syncs. dlt, in an environment of its own,
downloads the same file and replaces the table by its rows. With BENCH_BEFORE, the `src` folder of commit 1f6a76b
(`git archive 1f6a76b src | tar x -C FOLDER`), its night runs in turn with ours.

`--large` takes a million events and the night alone, and dlt at 100,000: 15 minutes on a quiet machine.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exported import Ran, exported
from nights import checked, copied, dlt_night, fetched, night_before, our_night
from side_by_side import Claim, arguments, before, compare, measured, past, slope, tell


def way(name: str, folder: Path, rows: int, origin: str, conninfo: str) -> Callable[[], object]:
    """What one way does, with all that it needs loaded."""
    if name == "dlt":
        return dlt_night(origin, folder, conninfo)
    given, name = name, before(name)
    import pyarrow as pa

    from tests.postgres import Schemas

    pa.array([""])  # loads pandas, where it is installed
    conninfo = Schemas(conninfo).new()
    if name == "night":
        return (our_night if name == given else night_before)(origin, folder, conninfo)
    if name == "plain":
        return lambda: copied(fetched(origin, folder / "fetched"), conninfo)
    if name == "checked":

        def night() -> None:
            file = fetched(origin, folder / "fetched")
            checked(file, rows)
            copied(file, conninfo)

        return night
    if name == "download":
        from vectorshift import Client

        client = Client("key", origin, timeout=600, total_timeout=600)
        client.prepare()
        task: Any = {"task_id": "ex_1", "download_url": f"{origin}/file", "format": "CSV"}
        return lambda: client.download_export(task, folder / "fetched")
    line = f"curl -s {origin}/file | tee {folder}/fetched | sha256sum && sync {folder}/fetched"
    return lambda: subprocess.run(line, shell=True, check=True, stdout=subprocess.DEVNULL)


def nights(ran: Ran, rows: int) -> float:
    """The night beside the scripts, and beside dlt; its CPU seconds."""
    found = ran("night", "plain", "checked", *past("night"))
    what = f"a night of {rows:,} events into PostgreSQL"
    compare(found, "night", "checked", f"{what}, wall", "<= 1.2", before="1.5")
    compare(found, "night", "plain", f"{what}, wall", before="2.07")
    compare(found, "night", "plain", f"{what}, CPU", before="29", figure="cpu")
    for old in past("night"):
        compare(found, "night", old, f"{what}, CPU", "<= 0.6", figure="cpu")
    return found["night"]["cpu"]


def downloads(ran: Ran) -> None:
    """The download beside curl."""
    found = ran("download", "curl")
    what = "download with sha256 and fsync"
    compare(found, "download", "curl", what, "<= 0.9", before="1.3 to 1.5")
    growth = found["download"]["growth"]
    tell(Claim("download, growth of resident memory", growth, "MiB", "<= 32"))


def against_dlt(ran: Ran, rows: int) -> None:
    """Claim how many times as long as we dlt takes."""
    found = ran("night", "dlt")
    times = found["dlt"]["wall"] / found["night"]["wall"]
    figures = ", ".join(f"{way} {each['wall']:.2f} s" for way, each in found.items())
    tell(Claim(f"a night of {rows:,} events, dlt's wall", times, "x ours", ">= 15", "12", figures))


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    if options.way:
        folder, rows, origin, conninfo = options.rest
        measured(way(options.way, Path(folder), int(rows), origin, conninfo))
        return
    # So many events, so many rounds: at 1x, 10x and 100x for the slope.
    sizes = {10_000: 3, 100_000: 3, 1_000_000: 1} if options.large else {10_000: 3, 100_000: 3}
    if options.quick:
        sizes = {5_000: 1, 50_000: 1}
    taken = []
    for rows, rounds in sizes.items():
        with exported(__file__, rows, 1, rounds) as ran:
            taken.append(nights(ran, rows))
            if options.large and rows == 100_000:
                against_dlt(ran, rows)
            if not options.large and rows == max(sizes):
                downloads(ran)
    what = f"a night: growth of its CPU from {min(sizes):,} to {max(sizes):,} events"
    tell(Claim(what, slope([*map(float, sizes)], taken), "as a slope", "<= 1.1"))


if __name__ == "__main__":
    main()
