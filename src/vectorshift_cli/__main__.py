"""How the command line is started: `vectorshift-orchestration`, or `python -m vectorshift_cli`."""

import sys

_EXTRA = {"typer": "cli", "rich": "cli", "yaml": "cli"}


def main() -> None:
    """Run the command that the arguments name, and exit with its code; docs/command-line.md has them."""
    try:
        from vectorshift_cli.app import run
    except ModuleNotFoundError as missing:
        if missing.name not in _EXTRA:
            raise
        print(
            f"The command line needs {missing.name}: "
            f"pip install 'vectorshift-orchestration[{_EXTRA[missing.name]}]'",
            file=sys.stderr,
        )
        sys.exit(2)
    run(sys.argv[1:])


if __name__ == "__main__":
    main()
