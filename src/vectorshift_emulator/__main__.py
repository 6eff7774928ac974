"""The emulator as a command: `python -m vectorshift_emulator`; docs/emulator.md has examples."""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from vectorshift_emulator._settings import PROFILES, PUBLIC_KEY, SWITCHES, nearest
from vectorshift_emulator.server import serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an emulator until SIGTERM or SIGINT.

    The first line on stdout, once it listens, is one JSON object with `base_url`, `api_key`,
    `control_url` and `control_token`.

    Returns:
        The exit status: 0 after a signal, 2 when it could not start.
    """
    parser = _parser()
    namespace, unknown = parser.parse_known_args(arguments)
    if unknown:
        names = [name for action in parser._actions for name in action.option_strings]
        parser.error(f"option {unknown[0]} does not exist{nearest(unknown[0], names)}")
    options = vars(namespace)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with serve(**options) as emulator:
            print(
                json.dumps(
                    {
                        "base_url": emulator.base_url,
                        "api_key": emulator.api_key,
                        "control_url": emulator.control_url,
                        "control_token": emulator.control_token,
                    }
                ),
                flush=True,
            )
            stopped.wait()
    except (OSError, ValueError) as error:
        print(f"vectorshift_emulator: {error}", file=sys.stderr)
        return 2
    return 0


def _takes(type_: Any) -> dict[str, Any]:
    """How the command line reads a switch of this type; one that is not named stays unset."""
    unset: dict[str, Any] = {"default": argparse.SUPPRESS}
    if type_ is bool:
        return unset | {"action": argparse.BooleanOptionalAction}
    if get_origin(type_) is Literal:
        choices = get_args(type_)
        return unset | {"type": type(choices[0]), "metavar": "|".join(map(str, choices))}
    if type_ is str:
        return unset | {"metavar": "ZONE"}
    return unset | {"type": int if int in get_args(type_) else float, "metavar": "NUMBER"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vectorshift_emulator",
        description="A local emulator of the VectorShift Analytics API.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="IPv4 address or name to listen on")
    add("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    add("--events", type=int, default=100_000, help="rows to generate")
    add("--days", type=int, default=30, help="days before the last midnight UTC they spread over")
    add("--seed", type=int, default=7, help="the same seed gives the same rows")
    add("--api-key", default=PUBLIC_KEY, help="key that clients must send")
    add("--database", type=Path, default=None, help="file that keeps the events")
    switches = parser.add_argument_group("switches", "see docs/emulator-switches.md")
    switches.add_argument(
        "--profile", default="default", metavar="|".join(PROFILES), help="a service"
    )
    for name, type_ in SWITCHES.items():
        switches.add_argument(f"--{name.replace('_', '-')}", **_takes(type_), dest=name)
    return parser


if __name__ == "__main__":
    sys.exit(main())
