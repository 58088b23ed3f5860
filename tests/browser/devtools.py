"""A page in a headless Chromium, acted on as a user would, through its debugging pipe."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Self


class Page:
    """A page in a browser of its own.

    Args:
        browser: the program.
        page: file to open, or an address.
        profile: folder for the browser.
        size: of the window, pixels.
    """

    def __init__(
        self, browser: str, page: Path | str, profile: Path, size: tuple[int, int] = (1200, 900)
    ) -> None:
        theirs_in, self._write = os.pipe()
        self._read, theirs_out = os.pipe()
        flags = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
            *("--disable-background-networking", "--disable-component-update"),
            *(f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"),
        ]
        # The browser talks through descriptors 3 and 4.
        redirected = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", redirected, browser, *flags],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._count, self._rest = 0, b""
        self._session: dict[str, str] = {}
        self.requests: list[str] = []
        self.complaints: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.send(f"{domain}.enable")
        width, height = size
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.send("Page.navigate", url=page if isinstance(page, str) else page.as_uri())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._write)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def send(self, method: str, **params: Any) -> Any:
        """A command's result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params, **self._session}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._count:
            self._note(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def run(self, script: str) -> Any:
        """What an expression of the page gives; promises are waited for."""
        result = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, condition: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < end, (condition, self.complaints)
            time.sleep(0.05)

    def give_file(self, selector: str, path: Path) -> None:
        """Choose a file, as in the browser's dialog."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """With the mouse's button down, in pixels of the window."""
        steps = [("mouseMoved", start), ("mousePressed", start)]
        steps += [("mouseMoved", end), ("mouseReleased", end)]
        for kind, (x, y) in steps:
            held = {"button": "left", "buttons": 1, "clickCount": 1} if kind != "mouseMoved" else {}
            moving = {"buttons": 1} if kind == "mouseMoved" else {}
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **held, **moving)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._read, 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        message, self._rest = self._rest.split(b"\0", 1)
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:200])
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"])[:500])
        if event.get("method") == "Log.entryAdded":
            self.complaints.append(str(params["entry"])[:500])
        if event.get("method") == "Runtime.consoleAPICalled":
            self.complaints.append(str(params["args"])[:500])
