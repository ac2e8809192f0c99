"""Chromium without a window, driven by WebDriver's own protocol; only for the tests."""

import base64
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request

# A fresh profile each time, and no talk with the outside.
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def missing():
    """Why there is no browser, or None."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not installed: Debian's chromium and chromium-driver" if absent else None


class Page:
    """An open page.

    Args:
        session: address of the WebDriver session.
    """

    def __init__(self, session):
        self._session = session

    def open(self, path):
        self.go_to(path.resolve().as_uri())

    def go_to(self, address):
        self._post("url", {"url": address})

    def run(self, script):
        """What a piece of JavaScript returns, or the promise that it returns."""
        return self._post("execute/sync", {"script": script, "args": []})

    def wait(self, condition):
        """Return once a JavaScript expression is true; the test fails if it does not come to that."""
        end = time.monotonic() + 20
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, condition
            time.sleep(0.05)

    def send_file(self, element, path):
        """Choose a file in an input element, which is given by its CSS selector."""
        found = self._post("element", {"using": "css selector", "value": element})
        (key,) = found.values()
        self._post(f"element/{key}/value", {"text": str(path.resolve())})

    def errors(self):
        """What the console says at its loudest."""
        entries = self._post("se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def picture(self):
        """A PNG file of the whole page."""
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return document.documentElement.clientWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        wanted = {"cmd": "Page.captureScreenshot", "params": {"clip": clip, "captureBeyondViewport": True}}
        return base64.b64decode(self._post("goog/cdp/execute", wanted)["data"])

    def prefer(self, scheme):
        """Be a reader with a "light" or "dark" system."""
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self._post("goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": media})

    def _post(self, command, body):
        return post(f"{self._session}/{command}", body)


def post(address, body, method="POST"):
    request = urllib.request.Request(address, json.dumps(body).encode(), method=method)
    # Not through a proxy: the driver is on this machine.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return json.load(answer)["value"]


@contextlib.contextmanager
def opened(width, height, *arguments):
    """A browser with a screen of so many pixels, started with more arguments."""
    with tempfile.TemporaryDirectory() as profile:
        driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            port = next(
                found[1]
                for line in driver.stdout
                if (found := re.search(r"successfully on port (\d+)", line))
            )
            sessions = f"http://127.0.0.1:{port}/session"
            options = {
                "args": [*ARGUMENTS, *arguments, f"--user-data-dir={profile}"],
                "mobileEmulation": {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1}},
            }
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            session = post(sessions, {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            try:
                yield Page(f"{sessions}/{session}")
            finally:
                # The browser would outlive its driver.
                post(f"{sessions}/{session}", {}, method="DELETE")
        finally:
            driver.terminate()
            driver.wait()
