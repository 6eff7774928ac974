"""`make pictures`: everything that there is to be seen, as PNG files to look at, in `.pictures` unless told otherwise.

    make pictures                        all of it; starts `make up` in a folder of its own
    make pictures START=http://127.0.0.1:8000    of a `make up` that is running
    make pictures KEEP=docs/pictures     the few that README and docs show, as well

`make pictures` builds the documentation site first. Takes Chromium; on Debian, apt-get install chromium.
"""

import argparse
import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from rich.console import Console
from rich.text import Text

from tests.browser import Page, browsing

ROOT = Path(__file__).parents[1]
SITE = ROOT / "site"
KEPT = ("emulator", "health-dark", "start")
LARGEST = 150_000
"""Bytes of a picture that is kept."""
COMMANDS = {
    "command-query": "query aggregate --days 7 --metrics runs.sum,error_rate,latency.p95 --by pipeline_id",
    "command-export": "export --days 3 --every day --destination {folder}/events-{{window}}.csv",
    "command-doctor": "doctor",
    "command-refusal": "query count --where statsu=failure",
}
"""What people type, by the name of its picture."""
LONG = "query events --all --days 7 --columns span_id"
"""A command whose picture is taken while it is at work."""
SETTLED = "!document.querySelector('[class*=skeleton i], [class*=spinner i]')"
"""JavaScript that is true once the two orchestrators show what they promised to load."""


@dataclass(frozen=True)
class Picture:
    """What is looked at, and how.

    Args:
        name: of the file, without its ending.
        url: the page.
        ready: JavaScript that is true once what should be seen is there.
        press: the text of a button that is pressed then, and `pressed` is `ready` for what follows.
        whole: the whole page, whatever its height.
    """

    name: str
    url: str
    ready: str = "document.readyState === 'complete'"
    width: int = 1100
    height: int = 700
    scheme: str = "light"
    medium: str = "screen"
    whole: bool = True
    press: str = ""
    pressed: str = "true"


def main() -> int:
    """Take the pictures; 0 when each was taken, 1 when some page did not become what it should."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--start", help="the start page of a `make up` that is running")
    parser.add_argument("--to", type=Path, default=ROOT / ".pictures")
    parser.add_argument("--keep", type=Path, help="where the few that documents show go, too")
    options = parser.parse_args()
    options.to.mkdir(exist_ok=True)
    failed = []
    with (
        _running(options.start) as state,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        browsing(Path(profile)) as page,
    ):
        commands = _commands(state, Path(profile))
        for picture in [*_pictures(state), *_site(), *commands]:
            try:
                _take(page, picture, options.to / f"{picture.name}.png")
            except (AssertionError, TimeoutError) as error:
                failed.append(picture.name)
                print(f"{picture.name} was not taken: {error!r}", flush=True)
    if options.keep:
        options.keep.mkdir(exist_ok=True)
        for name in KEPT:
            size = (options.to / f"{name}.png").stat().st_size
            if size > LARGEST:
                raise SystemExit(
                    f"{name}.png has {size:,} bytes, more than {LARGEST:,}: make it smaller."
                )
            shutil.copy(options.to / f"{name}.png", options.keep)
    return 1 if failed else 0


def _take(page: Page, picture: Picture, file: Path) -> None:
    page.shown(
        width=picture.width, height=picture.height, scheme=picture.scheme, medium=picture.medium
    )
    page.open(picture.url)
    page.wait_for(picture.ready)
    if picture.press:
        button = f"[...document.querySelectorAll('button')].find(it => it.innerText.trim() === {json.dumps(picture.press)})"
        page.wait_for(button + " !== undefined")
        page.value(button + ".click()")
        page.wait_for(picture.pressed)
    time.sleep(1)  # charts are drawn with a movement
    page.screenshot(file, whole=picture.whole)
    print(f"{file}  {file.stat().st_size / 1000:.0f} kB", flush=True)


def _pictures(state: dict[str, Any]) -> list[Picture]:
    """What `make up` shows in a browser."""
    places = {name: place["url"] for name, place in state["places"].items()}

    def has(text: str) -> str:
        return f"document.body?.innerText.includes({json.dumps(text)})"

    health, airflow, dagster = places["health"], places["airflow"], places["dagster"]
    moves = "document.querySelector('.pill.up')"
    return [
        Picture("start", state["url"], has("ready after"), height=600, whole=False),
        Picture("start-dark", state["url"], has("ready after"), scheme="dark"),
        Picture("start-phone", state["url"], has("ready after"), width=390),
        Picture("emulator", places["emulator"], moves, whole=False, height=760),
        Picture("emulator-dark", places["emulator"], moves, scheme="dark"),
        Picture("emulator-phone", places["emulator"], moves, width=390),
        Picture("health", health, width=900),
        Picture("health-dark", health, width=900, height=900, scheme="dark", whole=False),
        Picture("health-phone", health, width=390),
        Picture("health-print", health, width=794, medium="print"),
        Picture(
            "airflow-dags",
            f"{airflow}dags",
            f"{has('pipeline_health')} && {SETTLED}",
            width=1400,
            height=900,
            whole=False,
        ),
        Picture(
            "airflow-run",
            f"{airflow}dags/pipeline_health",
            f"{has('check_latency')} && {SETTLED}",
            width=1400,
            height=900,
            whole=False,
        ),
        Picture(
            "dagster-assets",
            f"{dagster}asset-groups",
            f"{has('vectorshift_events')} && !{has('fetching statuses')}",
            whole=False,
        ),
        Picture(
            "dagster-plots",
            f"{dagster}assets/run_health?view=overview",
            f"{has('Plots')} && {SETTLED}",
            width=1400,
            height=2300,
            whole=False,
            press="Plots",
            pressed="document.querySelectorAll('canvas').length > 2",
        ),
        Picture(
            "dagster-checks",
            f"{dagster}assets/run_health?view=checks",
            has("error_rate"),
            width=1400,
            whole=False,
        ),
    ]


def _site() -> Iterator[Picture]:
    """Pages of the documentation site in both themes; none where `make docs` has not built it."""
    pages = {
        "docs": "index",
        "docs-how-to": "how-to/postgres",
        "docs-reference": "reference/queries",
    }
    for name, page in pages.items() if SITE.exists() else ():
        url = (SITE / f"{page}.html").as_uri()
        for scheme, suffix in (("light", ""), ("dark", "-dark")):
            yield Picture(
                f"{name}{suffix}", url, width=1400, height=900, scheme=scheme, whole=False
            )
    if SITE.exists():
        yield Picture(
            "docs-phone", (SITE / "how-to/postgres.html").as_uri(), width=390, whole=False
        )


def _commands(state: dict[str, Any], folder: Path) -> list[Picture]:
    """The commands, run against the emulator of `make up`; each keeps its terminal as SVG."""
    env = os.environ | {
        "VECTORSHIFT_BASE_URL": f"{state['places']['emulator']['url']}v1",
        "VECTORSHIFT_API_KEY": "sk_demo",
        "XDG_STATE_HOME": str(folder),
        "COLUMNS": "100",
        "TERM": "xterm-256color",
    }
    program = Path(sys.executable).with_name("vectorshift-orchestration")
    pictures = []
    for name, command in COMMANDS.items():
        svg = folder / f"{name}.svg"
        arguments = command.format(folder=folder).split()
        subprocess.run([program, "--svg", svg, *arguments], env=env, check=False)
        pictures.append(Picture(name, svg.as_uri(), height=400, whole=False))
    svg = folder / "command-progress.svg"
    _progress([str(program), *LONG.split()], env, svg)
    return [*pictures, Picture("command-progress", svg.as_uri(), height=180, whole=False)]


def _progress(command: list[str], env: dict[str, str], svg: Path) -> None:
    """Run a command on a terminal, and draw the line of its progress that had some time left."""
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # how Linux says that the other side is closed
            pass
    os.close(ours)
    lines = [Text.from_ansi(line) for line in re.split(r"[\r\n]+|\x1b\[\d*[AK]", shown.decode())]
    counting = [line for line in lines if "rows/s" in line.plain]
    going = [it for it in counting if re.search(r"s +(?=[\d:]*[1-9])[\d:]+ *$", it.plain)]
    line = [*lines[-1:], *counting[-1:], *going[: len(going) // 2 + 1]][-1]
    console = Console(record=True, width=100, force_terminal=True, file=io.StringIO())
    console.print(f"$ vectorshift-orchestration {LONG}", highlight=False)
    console.print(line)
    console.save_svg(str(svg), title="vectorshift-orchestration query events")


@contextmanager
def _running(start: str | None) -> Iterator[dict[str, Any]]:
    """The state of a `make up` that is ready, with its address; one of our own unless there is one."""
    if start is not None:
        yield _asked(start.rstrip("/"))
        return
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name("up.py")],
            env=os.environ | {"VECTORSHIFT_EXAMPLES_HOME": home},
            stdout=subprocess.PIPE,
            text=True,
        ) as up,
    ):
        assert up.stdout is not None
        try:
            lines = []
            for line in up.stdout:
                print(line, end="", flush=True)
                lines.append(line)
                if line.startswith("Ctrl-C"):
                    break
            else:
                raise SystemExit("`make up` ended; what it said is above.")
            address = next(line.split()[2] for line in lines if line.startswith("start page"))
            yield _asked(address.rstrip("/"))
        finally:
            up.send_signal(signal.SIGINT)


def _asked(start: str) -> dict[str, Any]:
    with urlopen(f"{start}/state") as reply:
        return {"url": f"{start}/", **json.load(reply)}


if __name__ == "__main__":
    sys.exit(main())
