"""The console script as people run it, against the session's emulator."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from tests.days import CLOCK, MIDNIGHT
from tests.postgres import schemas
from vectorshift_cli.app import run
from vectorshift_orchestration import Window

SCRIPT = Path(sys.executable).with_name("vectorshift-orchestration")
DAY = Window.day(MIDNIGHT.date() - timedelta(days=1))
"""The newest day that the emulator's events cover."""


@dataclass
class CommandLine:
    """Runs commands in a folder of the test's own, with the account in the environment and nothing else."""

    folder: Path
    environment: dict[str, str] = field(repr=False)

    def script(self, *arguments, code=0, **environment):
        """Run the console script to its end; it must end with this exit code, and without a traceback."""
        done = subprocess.run(
            [SCRIPT, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return _checked(done.stdout, done.stderr, done.returncode, code)

    def __call__(self, *arguments, code=0, **environment):
        """The same in this process, which need not be started."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as changes, redirect_stdout(out), redirect_stderr(err):
            changes.chdir(self.folder)
            for name, value in (self.environment | environment).items():
                changes.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                run([*map(str, arguments)])
        return _checked(out.getvalue(), err.getvalue(), ended.value.code or 0, code)

    def json(self, *arguments, **options):
        """What a command writes with --json."""
        return json.loads(self(*arguments, "--json", **options).stdout)


def _checked(out, err, ended, wanted):
    assert (ended, "Traceback" in err) == (wanted, False), (ended, out, err)
    return subprocess.CompletedProcess([], ended, out, err)


@pytest.fixture
def emulator(vectorshift_emulator):
    """An account with 30 days of generated events up to the last midnight."""
    return vectorshift_emulator


@pytest.fixture
def command(emulator, tmp_path):
    """The command line of somebody who has the account's key in the environment."""
    environment = {
        **CLOCK,
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "VECTORSHIFT_API_KEY": emulator.api_key,
        "VECTORSHIFT_BASE_URL": emulator.base_url,
    }
    return CommandLine(tmp_path, environment)


@pytest.fixture
def window():
    """The last day, as options."""
    return ("--day", DAY.ds)


@pytest.fixture(scope="module")
def postgres_schemas():
    """A running PostgreSQL."""
    with schemas() as made:
        yield made


@pytest.fixture
def postgres(postgres_schemas):
    """A connection string whose search path is a schema of the test's own."""
    return postgres_schemas.new()
