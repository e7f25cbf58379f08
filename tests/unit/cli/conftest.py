"""Fixtures: a fake task API on loopback, and a runner of commands."""

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from core.settings import NAMES
from tests.unit.cli.fake_api import FakeApi, Run, handler_of


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """The server, on a free port of loopback."""
    fake = FakeApi()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(fake))
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `polyrelay …` in an empty folder and without settings; keyword arguments are environment variables."""
    monkeypatch.chdir(tmp_path)
    for name in (*NAMES, "POLYRELAY_URL"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*args: str, **environment: str) -> Result:
        return CliRunner().invoke(main, args, env=environment, prog_name="polyrelay")

    return invoke
