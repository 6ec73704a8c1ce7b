"""A real browser, driven through its own protocol over two pipes: what a page draws, says and asks for."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
INSTALL_SECONDS = 300
START_SECONDS = 60


@dataclass
class Page:
    """A page of a browser; `said` are its console's lines and errors, `asked` the addresses that it asked for."""

    _send: IO[bytes]
    _receive: IO[bytes]
    _session: str = ""
    _count: int = 0
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> Any:
        """Ask the browser for something; gives its answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._send.write(json.dumps(message).encode() + b"\0")
        self._send.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def open(self, address: str, *, width: int, dark: bool) -> None:
        """Open a file at a width in pixels and wait until its charts are drawn in the theme."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        self.wait_for_theme(scheme)

    def wait_for_theme(self, scheme: str) -> None:
        """Wait until the charts are drawn in a theme."""
        deadline = time.monotonic() + START_SECONDS
        # A page that is being left answers too, or not at all.
        while (found := self._drawn()) != scheme:
            assert time.monotonic() < deadline, f"drawn is {found}, and the page said {self.said}"
            time.sleep(0.02)

    def _drawn(self) -> Any:
        answer = self.call("Runtime.evaluate", expression="document.documentElement?.dataset.drawn", returnByValue=True)
        return answer["result"].get("value")

    def value(self, expression: str) -> Any:
        """What an expression is in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, file: Path) -> None:
        """Write the whole page as a PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(answer["data"]))

    def _next(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._receive.read(1)) != b"\0":
            assert byte, "the browser ended"
            text += byte
        message: dict[str, Any] = json.loads(text)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        if event["method"] == "Network.requestWillBeSent":
            self.asked.append(parameters["request"]["url"])
        elif event["method"] == "Runtime.consoleAPICalled":
            self.said.append(" ".join(str(one.get("value")) for one in parameters["args"]))
        elif event["method"] == "Runtime.exceptionThrown":
            self.said.append(json.dumps(parameters["exceptionDetails"]))
        elif event["method"] == "Log.entryAdded":
            self.said.append(parameters["entry"]["text"])


def browser_command() -> str:
    """The browser's command; root on Debian gets it where it is missing. Without one, the test is skipped."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "timeout": INSTALL_SECONDS}
        variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update"], env=variables, check=False, **quiet)
        install = ["apt-get", "install", "-y", "--no-install-recommends", "chromium"]
        subprocess.run(install, env=variables, check=False, **quiet)
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium or Chrome here, and none could be installed")
    return found


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """An empty page of a browser with a profile of its own, until the context closes."""
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()

    # The browser reads its orders from descriptor 3 and answers on 4.
    placed = ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "browser"]
    command = [
        *(browser_command(), "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"),
        *("--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-background-networking"),
        *(f"--user-data-dir={folder}", "about:blank"),
    ]
    with (folder / "browser.out").open("wb") as log:
        process = subprocess.Popen([*placed, *command], pass_fds=(to_browser, from_browser), stdout=log, stderr=log)
    os.close(to_browser)
    os.close(from_browser)
    with os.fdopen(from_us, "wb") as send, os.fdopen(to_us, "rb") as receive:
        try:
            page = Page(send, receive)
            target = page.call("Target.createTarget", url="about:blank")["targetId"]
            page._session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                page.call(f"{domain}.enable")
            yield page
        finally:
            process.terminate()
            process.wait(START_SECONDS)
