"""Runs a simulator as a process: `python -m simulator --port 0` prints its URL when it is ready."""

import argparse
import asyncio
import os
import signal
import socket
import stat
from collections.abc import Sequence

from granian.constants import Interfaces
from granian.server.embed import Server

from simulator.app import create_app
from simulator.connections import cut_all, descriptors
from simulator.settings import Credentials, Latencies, Settings

READY_TIMEOUT_S = 10.0
GRACE_S = 0.5
MOST_CONNECTIONS = 4096


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; every option has a default."""
    keys, waits = Credentials(), Latencies()
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free port")
    for name in ("image", "video", "text", "call"):
        default = getattr(waits, f"{name}_s")
        parser.add_argument(f"--latency-{name}", type=float, default=default, metavar="SECONDS", dest=f"{name}_s")
    for name in Credentials.__struct_fields__:
        parser.add_argument(f"--{name.replace('_', '-')}", default=getattr(keys, name))
    return parser.parse_args(arguments)


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings for the parsed command line."""
    keys = {name: getattr(options, name) for name in Credentials.__struct_fields__}
    waits = {name: getattr(options, name) for name in ("image_s", "video_s", "text_s", "call_s")}
    return Settings(credentials=Credentials(**keys), latencies=Latencies(**waits))


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    _check_free(options.host, options.port)
    app = create_app(settings_of(options))
    server = Server(
        app,
        options.host,
        options.port,
        interface=Interfaces.ASGI,
        backlog=MOST_CONNECTIONS,  # the server also serves at most this many connections, idle ones included
        log_enabled=False,
        websockets=False,
    )
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    port = await _listening_port(serving)
    print(f"http://{options.host}:{port}", flush=True)
    await stopping.wait()
    server.stop()  # type: ignore[no-untyped-call]
    # The server waits for open calls to end; calls with the fault `hang` would keep it running.
    await asyncio.wait({serving}, timeout=GRACE_S)
    cut_all(port)
    await serving


def _check_free(host: str, port: int) -> None:
    """
    Check that the port is free: with SO_REUSEPORT a second simulator would silently receive half of the calls.

    Raises:
        SystemExit: The port is in use.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SystemExit(f"the simulator cannot listen on {host}:{port}: {error.strerror}") from None


async def _listening_port(serving: "asyncio.Task[None]") -> int:
    """The port of the server, read from its listening socket."""
    deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
    while asyncio.get_running_loop().time() < deadline:
        if serving.done():
            serving.result()
            break
        if ports := [port for port in map(_port_of, descriptors()) if port]:
            return ports[0]
        await asyncio.sleep(0.01)
    raise SystemExit("the simulator did not start to listen in time")


def _port_of(descriptor: int) -> int | None:
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            listens = copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            return int(copy.getsockname()[1]) if listens and copy.family == socket.AF_INET else None
    except OSError:
        return None


def main() -> None:
    """Run the simulator until SIGTERM or SIGINT."""
    asyncio.run(serve(parse()))


if __name__ == "__main__":
    main()
