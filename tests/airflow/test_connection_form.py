"""The connection in a real api-server: over its API, and in the form of its UI."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from airflow_provider_vectorshift.provider_info import get_provider_info
from tests.browser import browsing

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs" / "airflow.md"
CANARY = "sk_canary_0123456789"
(CONNECTION_TYPE,) = get_provider_info()["connection-types"]


class Api:
    """A running api-server, asked as its administrator."""

    def __init__(self, address):
        self.address = address
        self.token = self.ask("GET", "/auth/token")["access_token"]

    def ask(self, method, path, body=None):
        """The JSON that it answers."""
        headers = {"Content-Type": "application/json"}
        if path != "/auth/token":
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def test(self, **fields):
        """What the form's Test button says."""
        body = {"connection_id": "from_a_form", "conn_type": "vectorshift", **fields}
        return self.ask("POST", "/api/v2/connections/test", body)


@pytest.fixture(scope="module")
def api(metadata_database):
    """Airflow's api-server in a process of its own, on the tests' metadata database."""
    environment = os.environ | {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    }
    # Port 0: the system gives a free one, and the log tells which.
    server = subprocess.Popen(
        [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Api(_address(server.stdout))
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        server.stdout.close()


def _address(log):
    lines = []
    for line in log:
        lines.append(line)
        if result := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
            return result[1]
    raise AssertionError("the api-server ended:\n" + "".join(lines))


@pytest.fixture(scope="module")
def stored(api):
    """A connection in the database, with every field filled."""
    extra = {
        "timeout": 30,
        "retries": 2,
        "verify": "/etc/ca.pem",
        "rate_limit": 5,
        "time_precision": "ms",
        "proxied_downloads": "false",
    }
    fields = {
        "connection_id": "stored",
        "conn_type": "vectorshift",
        "host": "https://api.vectorshift.ai/v1",
        "password": CANARY,
        "extra": json.dumps(extra),
    }
    return api.ask("POST", "/api/v2/connections", fields)


def test_documented_fields():
    """The form, the documentation and the hook know the same fields."""
    section = DOCS.read_text().partition("## The connection\n")[2].partition("\n## ")[0]
    table = re.findall(r"^\| ([^|]+) \| (?:extra )?`(\w+)` \|", section, re.M)
    fields = {name: field["label"] for name, field in CONNECTION_TYPE["conn-fields"].items()}
    assert {name: label for label, name in table} == (
        CONNECTION_TYPE["ui-field-behaviour"]["relabeling"] | fields
    )


def test_the_form_is_described(api):
    """The UI is told our labels and fields, and to hide what we do not use."""
    [form] = [
        each
        for each in api.ask("GET", "/ui/connections/hook_meta")
        if each["connection_type"] == "vectorshift"
    ]
    standard = form["standard_fields"]
    assert standard["host"]["title"] == "Base URL"
    assert standard["password"]["title"] == "API key"
    assert all(standard[name]["hidden"] for name in ("login", "port", "url_schema"))
    assert list(form["extra_fields"]) == [
        "timeout",
        "retries",
        "verify",
        "rate_limit",
        "time_precision",
        "proxied_downloads",
    ]


def test_the_key_is_masked(api, stored):
    """No answer of the API holds the key; the other fields can be read."""
    everything = [
        stored,
        api.ask("GET", "/api/v2/connections"),
        api.ask("GET", "/api/v2/connections/stored"),
    ]
    assert CANARY not in json.dumps(everything)
    assert everything[2]["password"] == "***"
    assert json.loads(everything[2]["extra"])["retries"] == 2


def test_the_test_button(api, emulator):
    """Test over the API asks the service with the connection's key, and tells what is wrong."""
    good = {"host": emulator.base_url, "password": emulator.api_key}
    nulls = json.dumps(dict.fromkeys(CONNECTION_TYPE["conn-fields"]))
    assert api.test(**good)["status"] is True
    assert api.test(**good, extra=nulls)["message"].startswith("Connected.")
    for fields, texts in (
        (good | {"password": CANARY}, "401"),
        ({"password": CANARY, "host": "nowhere"}, "base URL must look like"),
        ({"password": CANARY, "host": "http://127.0.0.1:9/v1"}, "did not arrive"),
        (good | {"extra": '{"retries": -1}'}, "retries must be a whole number"),
        ({"host": emulator.base_url}, "no API key"),
    ):
        reported = api.test(**fields)
        assert (reported["status"], texts in reported["message"]) == (False, True), reported
        assert CANARY not in reported["message"]


DIALOG = "document.querySelector('[role=dialog]')"


def _click(page, selector, text=""):
    """Click what a selector finds and a text names, once it is there."""
    result = (
        f"[...document.querySelectorAll({json.dumps(selector)})]"
        f".find(each => each.textContent.includes({json.dumps(text)}))"
    )
    page.wait_for(f"!!{result}")
    page.value(
        f"{result}.focus(), {result}.click()"
    )  # an accordion without the focus stays as it is


def _wait_for_labels(page, picture):
    """Wait until the open form shows every label of ours: its standard fields, then the extra ones."""
    behaviour, fields = CONNECTION_TYPE["ui-field-behaviour"], CONNECTION_TYPE["conn-fields"]
    _wait_for(page, behaviour["relabeling"].values())
    page.screenshot(picture.with_suffix(".standard.png"))
    _click(page, "[role=dialog] button", "Extra Fields")
    _wait_for(page, [field["label"] for field in fields.values()])
    page.screenshot(picture.with_suffix(".extra.png"))


def _wait_for(page, texts):
    page.wait_for(" && ".join(f"{DIALOG}?.innerText.includes({json.dumps(t)})" for t in texts))


def test_the_form_in_a_browser(api, stored, tmp_path):
    """A new connection of our type asks for our fields; a stored one shows them, and never its key."""
    with browsing(tmp_path / "profile") as page:
        page.open(api.address + "/connections")
        _click(page, "button", "Add Connection")
        page.wait_for(f"!!{DIALOG}?.querySelector('[role=combobox]')")
        page.value(f"{DIALOG}.querySelector('[role=combobox]').focus()")
        page.type("VectorShift")
        _wait_for_labels(page, tmp_path / "new")

        page.open(api.address + "/connections")
        _click(page, "button[aria-label='Edit Connection']")
        _wait_for_labels(page, tmp_path / "stored")
        fields = page.value(
            f"Object.fromEntries([...{DIALOG}.querySelectorAll('input[name]')]"
            ".map(each => [each.name, each.value]))"
        )
        assert fields["connection_id"] == "stored"
        assert fields["password"] == "***"
        assert not {"login", "port", "schema"} & set(fields)
        assert CANARY not in page.value("document.documentElement.outerHTML")
        assert CANARY not in json.dumps(fields)
