"""How the command line is started: `vectorshift-orchestration`, or `python -m vectorshift_cli`."""

import sys

_NEEDED = ("typer", "rich", "yaml")


def main() -> None:
    """Run the command that the arguments name, and exit with its code; docs/command-line.md has them."""
    try:
        from vectorshift_cli.app import run
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in _NEEDED:
            raise
        print(
            f"The command line needs {package}: pip install 'vectorshift-orchestration[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)
    run(sys.argv[1:])


if __name__ == "__main__":
    main()
