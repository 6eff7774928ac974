"""The documentation as text: its pages, their blocks of code, their headings and their links."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
OWN_TESTS = {
    "docs/wire-format.md": "tests/official/test_wire_document.py",
    "docs/health-page.md": "tests/orchestration/test_health_page.py",
}
"""Pages whose Python needs more than an emulator, and the test that prepares it and runs their blocks."""

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S
)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page: its kind is what stands behind the fence."""

    page: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def runs_on(self) -> str:
        """What a block of Python needs: Airflow, Dagster, what a test of its own prepares, or just the emulator."""
        found = re.search(r"^\s*(?:from|import) (airflow|dagster)\b", self.text, re.M)
        return found[1] if found else OWN_TESTS.get(self.page, "emulator")


def pages() -> list[Path]:
    """Every page that users read: those of the site, and those of the repository's front."""
    fronts = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*fronts, *sorted(DOCS.rglob("*.md"))]


def blocks(kind: str, runs_on: str | None = None) -> list[Block]:
    """All blocks of a kind; of Python only those that run on the given thing."""
    return [
        block
        for path in pages()
        for block in blocks_of(path)
        if block.kind == kind and runs_on in (None, block.runs_on)
    ]


def blocks_of(path: Path) -> Iterator[Block]:
    """The blocks of one page, in order."""
    text = path.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        body = re.sub(f"^{found['indent']}", "", found["text"], flags=re.M)
        line = text.count("\n", 0, found.start()) + 1
        yield Block(str(path.relative_to(ROOT)), line, found["kind"], body)


def commands(*programs: str) -> list[tuple[Block, list[str]]]:
    """The commands of all `sh` blocks, as words; of the given programs only, or of all."""
    return [
        (block, words)
        for block in blocks("sh")
        for line in block.text.replace("\\\n", " ").splitlines()
        if (words := shlex.split(line, comments=True)) and (not programs or words[0] in programs)
    ]


def prose(path: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """The ids of a page's headings, as the site and code hosts both make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(path), re.M):
        words = re.sub(r"[^\w\s-]", "", heading.lower())
        found.add(re.sub(r"[\s]+", "-", words.strip()))
    return found
