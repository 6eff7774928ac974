"""What code, tests and pages cite is in the repository: pages by their name, sections of the contract by their number."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "tests", "docs", "dags_examples", "benchmarks", "findings")
PAGE = re.compile(r"[\w./-]*\w\.md\b(?!\()")
CITED = re.compile(r"docs/contract\.md ((?:[A-G]\d*(?:-\d|-[A-G]\d|[a-d](?:-[a-d])?)?(?:, )?)+)")


def texts():
    """Each text file with its lines joined, so that a citation may be cut by the end of a line."""
    paths = [
        path
        for each in FOLDERS
        for path in (ROOT / each).rglob("*")
        if "__pycache__" not in path.parts
    ]
    for path in [*paths, *ROOT.glob("*.md"), ROOT / "pyproject.toml", ROOT / "Makefile"]:
        if path.suffix in (".py", ".md", ".toml", ".sh", ".yaml", "") and path.is_file():
            yield path, re.sub(r"\s+", " ", path.read_text())


def test_every_cited_page_is_here():
    """A page that is named lies beside who names it, in docs, or where its path says."""
    here = {path.name for path in ROOT.rglob("*.md") if not set(path.parts) & {".venv", ".cache"}}
    missing = {
        (str(path.relative_to(ROOT)), page)
        for path, text in texts()
        for page in PAGE.findall(text)
        if Path(page).name not in here
    }
    assert missing == set()


def test_every_cited_section_is_in_the_contract():
    """`docs/contract.md A5, G2-G4` names sections that the page has."""
    contract = (ROOT / "docs" / "contract.md").read_text()
    mistakes = contract.partition("\n## D. ")[2].partition("\n## ")[0]
    sections = set(re.findall(r"^(?:## |\*\*|\| )([A-G]\d?)(?:\.| \|)", contract, re.M))
    sections |= {f"D{number}" for number in re.findall(r"(?:^|\s)(\d+)\. ", mistakes)}
    cited = {
        section
        for _, text in texts()
        for result in CITED.findall(text)
        for section in re.findall(r"[A-G]\d*", result)
    }
    assert len(cited) > 20
    assert cited <= sections
