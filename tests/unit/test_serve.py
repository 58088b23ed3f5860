"""The server of the comparison page."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from trompe.errors import UserError
from trompe.report import serve
from trompe.report.collect import read_entries
from trompe.report.page_data import page_data
from trompe.report.serve import Latest, look_at, make_server
from trompe.runs.run_folder import RunFolder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(serve, "_SECONDS", 0.0)
    run = RunFolder(tmp_path / "run")
    run.create({}, [], {})
    run.append_metrics({"kimg": 1, "tick": 1, "fd": 5.0})
    return run


@contextmanager
def served(folder: Path) -> Iterator[Any]:
    """A function that gets a path, with headers: its status, headers and text."""
    latest = Latest(lambda: page_data(read_entries([folder]), None, "t"), lambda: look_at([folder]))
    with make_server(latest, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def get(path: str, **headers: str) -> tuple[int, Any, str]:
            link = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            link.request("GET", path, headers=given)
            answer = link.getresponse()
            found = answer.status, answer.headers, answer.read().decode()
            link.close()
            return found

        try:
            yield get
        finally:
            server.shutdown()
            thread.join()


def test_newer_data_are_sent_once(run: RunFolder) -> None:
    with served(run.path) as get:
        status, _, page = get("/")
        assert status == 200 and "connect-src 'self'" in page and "data-live" in page
        status, headers, text = get("/data.json")
        assert status == 200 and json.loads(text)["curves"]["fd"] == [[[1.0], [5.0]]]
        assert get("/data.json", If_None_Match=headers["ETag"])[0] == 304
        run.append_metrics({"kimg": 2, "tick": 2, "fd": 4.0})
        status, later, text = get("/data.json", If_None_Match=headers["ETag"])
        assert status == 200 and later["ETag"] != headers["ETag"]
        assert json.loads(text)["curves"]["fd"] == [[[1.0, 2.0], [5.0, 4.0]]]


def test_nothing_else_and_nobody_else_is_answered(run: RunFolder) -> None:
    with served(run.path) as get:
        assert get("/run.json")[0] == get("/../run.json")[0] == 404
        assert get("/", Host="evil.example")[0] == 403
        assert get("/data.json", Host="127.0.0.1:1")[0] == 403


def test_folders_that_vanish_are_told(run: RunFolder) -> None:
    with served(run.path) as get:
        assert get("/data.json")[0] == 200
        run.path.rename(run.path.with_name("gone"))
        status, _, text = get("/data.json")
        assert status == 503 and "there is no folder" in text


def test_a_port_that_is_taken_is_told() -> None:
    latest = Latest(dict, lambda: 0)
    with (
        make_server(latest, 0) as server,
        pytest.raises(UserError, match=f"port={server.server_port} cannot be served: .*port=0"),
    ):
        make_server(latest, server.server_port)
    with pytest.raises(UserError, match="port=70000 cannot be served"):
        make_server(latest, 70000)
