"""The comparison page from a server on this machine, which follows the runs as they train."""

import hashlib
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from trompe.errors import UserError
from trompe.report.page import as_script, render
from trompe.runs.index import find_folders

_HOST = "127.0.0.1"  # nobody else: a run's config and notes are its owner's
_FILES = ("run.json", "metrics.jsonl", "notes.md", "samples", "evaluations")
_SECONDS = 2.0  # between two looks at the folders


class Latest:
    """The newest data of the page, made again when the folders have changed.

    Args:
        make: makes them.
        look: tells whether they may have changed.
    """

    def __init__(self, make: Callable[[], dict[str, Any]], look: Callable[[], Hashable]) -> None:
        self._make, self._look = make, look
        self._lock = threading.Lock()
        self._seen: Hashable = None
        self._looked = float("-inf")
        self._data: dict[str, Any] = {}
        self._tag = ""

    def get(self) -> tuple[dict[str, Any], str]:
        """The data, and a tag that differs if they do."""
        with self._lock:
            if time.monotonic() - self._looked >= _SECONDS:
                seen = self._look()
                if seen != self._seen or not self._tag:
                    self._data, self._seen = self._make(), seen
                    known = {**self._data, "now": ""}
                    self._tag = hashlib.sha256(
                        as_script(known).encode("utf-8", "replace")
                    ).hexdigest()
                self._looked = time.monotonic()
            return self._data, f'"{self._tag[:20]}"'


def look_at(folders: Iterable[Path]) -> Hashable:
    """What changes when a run at or below these folders does."""
    found = []
    for folder in folders:
        for run in sorted(find_folders(folder)):
            found.append((run, *(_changed(run / name) for name in _FILES)))
    return tuple(found)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


class _Handler(BaseHTTPRequestHandler):
    """GET / and /data.json, from a page of this machine only."""

    server_version, sys_version = "trompe", ""

    def __init__(self, latest: Latest, *args: Any) -> None:
        self._latest = latest
        super().__init__(*args)

    def do_GET(self) -> None:
        name, _, port = self.headers.get("Host", "").partition(":")
        if name not in (_HOST, "localhost") or port != str(self.server.server_port):  # type: ignore[attr-defined]
            self.send_error(HTTPStatus.FORBIDDEN)  # another site's name that leads here
            return
        place = self.path.partition("?")[0]
        if place not in ("/", "/data.json"):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            data, tag = self._latest.get()
        except UserError as error:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain=str(error))
            return
        if place == "/":
            self._answer("text/html", render(data, live=True))
        elif self.headers.get("If-None-Match") == tag:
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.end_headers()
        else:
            self._answer("application/json", as_script(data), tag)

    def _answer(self, kind: str, text: str, tag: str | None = None) -> None:
        body = text.encode("utf-8", "replace")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: the terminal shows where the page is."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A browser that closed the connection is no news."""


def make_server(latest: Latest, port: int) -> ThreadingHTTPServer:
    """A server on the loopback interface; `serve_forever` runs it.

    Args:
        latest: what it shows.
        port: 0 for one that is free.

    Raises:
        UserError: if the port is taken, or not ours to take.
    """
    try:
        return _Server((_HOST, port), partial(_Handler, latest))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"port={port} cannot be served: {reason}; port=0 takes a free one"
        ) from error
