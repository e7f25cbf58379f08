"""The embedded servers: start, stop, data, and the errors of a failed start."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.embedded.ports import free_port
from cli.embedded.server_process import EmbeddedServer
from cli.embedded.servers import MongoServer, ValkeyServer
from cli.embedded.start_errors import DataFolderInUse, PortInUse, ServerNotStarted
from repositories.valkey.connection import connect_queue
from tests.servers import running

KINDS = pytest.mark.parametrize("kind", [MongoServer, ValkeyServer])

PARENT = """
import asyncio, sys
from pathlib import Path
from cli.embedded import servers

async def main():
    server = getattr(servers, sys.argv[1])(Path(sys.argv[2]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def is_alive(pid: int) -> bool:
    """Whether that process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pid: int) -> None:
    """Wait until that process has ended."""
    async with asyncio.timeout(20):
        while is_alive(pid):  # noqa: ASYNC110 - a stranger's child tells nobody
            await asyncio.sleep(0.02)


@KINDS
async def test_a_server_runs_until_it_is_stopped(kind: type[EmbeddedServer], tmp_path: Path) -> None:
    """Starting twice and stopping twice is the same as once; no process stays."""
    server = kind(tmp_path)
    assert server.pid is None

    await server.start()
    pid = server.pid
    await server.start()
    assert pid is not None
    assert server.pid == pid
    assert is_alive(pid)

    await server.stop()
    await server.stop()
    assert server.pid is None
    assert not is_alive(pid)


@KINDS
async def test_two_servers_do_not_share_a_data_folder(kind: type[EmbeddedServer], tmp_path: Path) -> None:
    """The second one is refused, and the first is not affected."""
    async with running(kind(tmp_path)) as server:
        second = kind(tmp_path)
        second.folder_wait_s = 0.1
        with pytest.raises(DataFolderInUse, match="in use by another running"):
            await second.start()

        assert server.running


@KINDS
async def test_a_taken_port_is_reported(kind: type[EmbeddedServer], tmp_path: Path, redis_server: ValkeyServer) -> None:
    """A given port is not replaced by another one."""
    with pytest.raises(PortInUse, match=f"port {redis_server.port} is in use"):
        await kind(tmp_path, port=redis_server.port).start()


@KINDS
async def test_a_missing_binary_is_reported(
    kind: type[EmbeddedServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text says how to install it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(ServerNotStarted, match=r"polyrelay\[embedded\].*docker compose up"):
        await kind(tmp_path).start()


@KINDS
async def test_a_server_that_ends_at_once_is_reported(
    kind: type[EmbeddedServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text has the last lines of its log, and the folder is free again."""
    for name in ("mongod", "valkey-server"):
        (tmp_path / name).write_text("#!/bin/sh\necho it is Monday\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        with pytest.raises(ServerNotStarted, match="it is Monday"):
            await kind(tmp_path / "data").start()

    async with running(kind(tmp_path / "data")) as server:
        assert server.running


@KINDS
async def test_a_server_ends_with_its_parent(kind: type[EmbeddedServer], tmp_path: Path) -> None:
    """A killed parent leaves no process, and a folder that can be used at once."""
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", PARENT, kind.__name__, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        assert is_alive(pid)
        assert os.getsid(pid) == pid

        parent.send_signal(signal.SIGKILL)
        await gone(pid)

    async with running(kind(tmp_path)) as server:
        assert server.running


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_valkey_keeps_what_it_stored(tmp_path: Path, end: str) -> None:
    """Wakes of `dev` survive a restart, in order or by force."""
    server = ValkeyServer(tmp_path, port=free_port())
    await server.start()
    redis = connect_queue(server.url)
    await redis.set("kept", "yes")
    # The file is written before the answer and flushed each second: killing the process loses nothing, a power cut may.
    await (server.stop() if end == "stop" else server.kill())

    async with running(server):
        assert await redis.get("kept") == b"yes"
    await redis.aclose()
