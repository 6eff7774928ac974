"""What the pages say of the command line is true: their commands run as they stand, and so does the spec."""

from tests.pages import blocks, commands


def test_the_commands_of_the_pages_run(command, emulator):
    """One after the other in one folder, as somebody types them who reads a page."""
    written = [words for _, words in commands("vectorshift-orchestration")]
    assert len(written) > 5
    for words in written:
        command(*words[1:])
    assert (command.folder / "health.html").exists()


def test_the_spec_of_the_page_is_one(command, emulator):
    """It is taken as it stands, with fewer days."""
    (block,) = [each for each in blocks("yaml") if each.page == "docs/command-line.md"]
    (command.folder / "nightly.yaml").write_text(block.text)
    command("export", "--spec", "nightly.yaml", "--days", 1)
