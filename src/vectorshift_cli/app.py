"""The commands, and what an error becomes: one sentence on stderr, and an exit code.

0 all is well; 1 a check has failed, or `doctor` has found something; 2 the command, its spec or its
environment have to be changed; 3 it failed, and would fail again; 4 it failed, and may succeed later; 130 it was
interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vectorshift.errors import ConfigurationError, MissingApiKeyError, RetryAdvice, VectorshiftError
from vectorshift_cli import querying
from vectorshift_cli.checking import check
from vectorshift_cli.emulating import emulator
from vectorshift_cli.examining import doctor
from vectorshift_cli.exporting import export
from vectorshift_cli.measuring import health
from vectorshift_cli.reporting import report
from vectorshift_cli.screen import Screen
from vectorshift_orchestration.errors import SpecError, WindowError

USAGE, FAILED, MAY_PASS = 2, 3, 4

_EXTRAS = {
    "psycopg": "postgres",
    "adbc_driver_postgresql": "postgres",
    "duckdb": "duckdb",
    "pyarrow": "arrow",
    "vl_convert": "report",
    "jinja2": "report",
    "s3fs": "s3",
}
_KEY_OPTIONS = ("--api-key", "--api_key", "--apikey", "--key", "--token", "--password")


class _Sentences(TyperGroup):
    """Commands whose errors are sentences; with --debug they are what they are."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException, KeyboardInterrupt, EOFError):
            raise
        except BrokenPipeError:  # whoever read has read enough
            sys.stdout = None  # nothing is flushed into it at the end
            raise typer.Exit(0) from None
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            screen = ctx.obj if isinstance(ctx.obj, Screen) else Screen()
            text, code = sentence_of(error)
            screen.warn(text)
            raise typer.Exit(code) from None


app = typer.Typer(
    cls=_Sentences,
    name="vectorshift-orchestration",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="VectorShift analytics from the command line: what the operators and assets do, at once.",
    epilog="The API key is read from VECTORSHIFT_API_KEY, or asked for.",
)
app.add_typer(querying.app, name="query")
app.command()(export)
app.command()(health)
app.command()(check)
app.command()(report)
app.command()(doctor)
app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)(emulator)


def _version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        typer.echo(version("vectorshift-orchestration"))
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    svg: Annotated[
        Path | None, typer.Option(help="Keep what the terminal shows as an SVG picture.")
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    screen = context.obj = Screen(svg)
    context.call_on_close(
        lambda: screen.close(f"vectorshift-orchestration {context.invoked_subcommand}")
    )


def run(arguments: Sequence[str]) -> None:
    """Run a command and exit with its code. A key among the arguments is refused without being repeated."""
    named = next((each for each in arguments if each.partition("=")[0] in _KEY_OPTIONS), None)
    if named is not None and "emulator" not in arguments:
        Screen().warn(
            f"{named.partition('=')[0]}: keys are not taken as arguments, because other users of the "
            "machine can read them, and shells keep them. Set VECTORSHIFT_API_KEY, or leave it out and "
            "you are asked for it."
        )
        sys.exit(USAGE)
    app(list(arguments), prog_name="vectorshift-orchestration")


def sentence_of(error: Exception) -> tuple[str, int]:
    """The sentence and the exit code of an error."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, MissingApiKeyError | ConfigurationError | SpecError | WindowError):
        return text, USAGE
    if isinstance(error, VectorshiftError):
        is_final = error.retry_advice is RetryAdvice.PERMANENT
        return text, FAILED if is_final else MAY_PASS
    if isinstance(error, ModuleNotFoundError):
        if "pip install" in text:
            return text, USAGE
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is not None:
            return (
                f"This needs {error.name}: pip install 'vectorshift-orchestration[{extra}]'.",
                USAGE,
            )
    from vectorshift_orchestration.addresses import without_secrets

    kind = type(error).__name__
    return f"{kind}: {without_secrets(text)} (--debug before the command shows where.)", FAILED
