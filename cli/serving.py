"""The API on granian."""

import math
import resource
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

import structlog
from granian import Granian
from granian.constants import Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels

from cli.embedded.lifeline import die_with_parent
from cli.output import Failed, Misused, errors
from core.bind_check import vault_for
from core.errors import ConfigurationError
from core.gc_tuning import spare_garbage_collection
from core.logs import set_up_logs
from core.settings import Settings, read_settings

_LOGS: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"handlers": [], "propagate": True}},
}
"""Granian's warnings go the way of our logs; its reports of starts and stops are left out."""

MOST_HEAD_BYTES: Final = 64 * 1024
"""Of a request's line and headers together; the server's library takes at most 100 headers."""

MOST_CONNECTIONS: Final = 10_000
"""That one process holds. Whoever comes then waits until another hangs up, also where all others are silent."""

_OTHER_FILES: Final = 1_000

log = structlog.get_logger(__name__)


def serve(settings: Settings) -> None:
    """
    Serve until SIGTERM or SIGINT.

    Raises:
        Failed: The address cannot be used, or a process of the API ended by itself.
        Misused: The server would be open to others, or could not read its keys.
    """
    check_access(settings)
    address = address_of(settings.host)
    check_address(settings.host, settings.port)
    server = Granian(
        "api.app:create_app",
        address=address,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.api_processes,
        backlog=MOST_CONNECTIONS,  # the kernel has its own bound
        backpressure=MOST_CONNECTIONS,
        workers_kill_timeout=max(1, math.ceil(settings.shutdown_grace_s)),
        websockets=False,
        http1_settings=HTTP1Settings(
            header_read_timeout=math.ceil(settings.request_timeout_s * 1000), max_buffer_size=MOST_HEAD_BYTES
        ),
        http2_settings=HTTP2Settings(max_headers_size=MOST_HEAD_BYTES),
        log_level=LogLevels.warning,
        log_dictconfig=_LOGS,
    )
    allow_files(MOST_CONNECTIONS + _OTHER_FILES)
    set_up_logs(settings, process="api")
    log.info("api_starting", host=settings.host, port=settings.port, processes=settings.api_processes)
    server.serve(target_loader=load_app, wrap_loader=False)
    log.info("api_stopped")


def load_app() -> Callable[..., Any]:
    """The application, made in each process of the API; a wrong configuration ends the process with a clean message."""
    die_with_parent()
    from api.app import create_app

    try:
        app: Callable[..., Any] = create_app(read_settings())
    except ConfigurationError as error:
        errors().print(f"error: {error}", markup=False)
        sys.exit(Misused.exit_code)
    spare_garbage_collection()
    return app


def check_access(settings: Settings) -> None:
    """
    Fail where nobody would be asked for a key who should be, before any process of the API starts.

    Raises:
        Misused: With the way out.
    """
    try:
        vault_for(settings)
    except ConfigurationError as error:
        raise Misused(str(error)) from error


def allow_files(count: int) -> None:
    """Let this process and its children open so many files at once, or as many as they may: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        most = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def address_of(host: str, *, setting: str = "HOST") -> str:
    """
    The IP address of a host name: granian takes no names.

    Raises:
        Misused: There is no such host.
    """
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise Misused(f"{setting}={host}: there is no such address: {error}") from error


def check_address(host: str, port: int, *, setting: str = "PORT") -> None:
    """
    Fail where something listens there already: granian would share the port with it silently.

    Raises:
        Failed: With the way out.
    """
    address = address_of(host)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.create_server((address, port), family=family).close()
    except PermissionError as error:
        raise Failed(f"port {port} needs more rights; set {setting} to 1024 or higher") from error
    except OSError as error:
        raise Failed(
            f"cannot listen on {host}:{port} ({error.strerror or error}); "
            f"stop what uses it, or choose another port with {setting}=…"
        ) from error
