"""A real browser: Chromium without a window, spoken to over its own protocol (CDP)."""

import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

_WAIT = """
new Promise((resolve, reject) => {
  const look = () => (%s);
  const found = look();
  if (found) return resolve(found);
  const watch = new MutationObserver(() => {
    const found = look();
    if (found) { watch.disconnect(); resolve(found); }
  });
  watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
})
"""


class Page:
    """One tab."""

    def __init__(self, browser: ClientConnection) -> None:
        self._browser = browser
        self._session = None
        self._last = 0
        self._timeout = 60.0
        self.events: list[dict] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._ask("Page.enable")

    def open(self, url: str) -> None:
        """Go to an address, and wait until it has loaded."""
        self._ask("Page.navigate", url=url)
        self._next(lambda message: message.get("method") == "Page.loadEventFired")

    def wait_for(self, expression: str) -> object:
        """The value of a JavaScript expression, once it is true; looked at after each change of the page."""
        return self.value(_WAIT % expression)

    def value(self, expression: str) -> object:
        """The value of a JavaScript expression; a promise is awaited."""
        done = self._ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in done:
            raise AssertionError(done["exceptionDetails"])
        return done["result"].get("value")

    def type(self, text: str) -> None:
        """Type a text into the element that has the focus, and Enter."""
        self._ask("Input.insertText", text=text)
        enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, **enter)

    def watch(self) -> None:
        """From now on `events` has what is logged and requested over the network, too."""
        for domain in ("Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def shown(
        self,
        *,
        width: int = 1300,
        height: int = 1500,
        scheme: str = "light",
        medium: str = "screen",
    ) -> None:
        """Look at the page in so many CSS pixels, with a theme, on a screen or in print."""
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        theme = {"name": "prefers-color-scheme", "value": scheme}
        self._ask("Emulation.setEmulatedMedia", media=medium, features=[theme])

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write what is to be seen as a PNG, or the whole page, whatever its height."""
        taken = self._ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(b64decode(taken["data"]))

    def _ask(self, method: str, **params: object) -> dict:
        self._last += 1
        request = {"id": self._last, "method": method, "params": params}
        if self._session is not None:
            request["sessionId"] = self._session
        self._browser.send(json.dumps(request))
        answer = self._next(lambda message: message.get("id") == self._last)
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["result"]

    def _next(self, fits) -> dict:
        while True:
            message = json.loads(self._browser.recv(timeout=self._timeout))
            if "method" in message:
                self.events.append(message)
            if fits(message):
                return message


@contextmanager
def browsing(folder: Path) -> Iterator[Page]:
    """A tab of a Chromium of its own, whose profile is in `folder`."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        texts = "install Chromium: on Debian, apt-get install chromium"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(texts)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    process = subprocess.Popen(
        [
            program,
            *flags,
            "--window-size=1300,1500",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = next(line for line in process.stderr if "DevTools listening on" in line)
        with connect(line.split()[-1], max_size=None) as browser:
            yield Page(browser)
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()
