"""Serves the API with granian: checks the address, raises limits, starts the processes."""

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

from cli.embedded.parent_death import end_with_parent
from cli.output import Failed, Misused, errors
from core.bind_check import vault_for
from core.errors import ConfigurationError
from core.gc_tuning import tune_garbage_collector
from core.logs import set_up_logs
from core.settings import Settings, read_settings

_LOGS: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"handlers": [], "propagate": True}},
}
"""Granian's warnings are written to our logs; its messages about starts and stops are not."""

MOST_HEAD_BYTES: Final = 64 * 1024
"""Largest size of a request line and its headers together. Granian takes at most 100 headers."""

MOST_CONNECTIONS: Final = 10_000
"""Open connections of one process. A further connection waits until another one closes, even an idle one."""

_OTHER_FILES: Final = 1_000

log = structlog.get_logger(__name__)


def serve(settings: Settings) -> None:
    """
    Serve until SIGTERM or SIGINT.

    Raises:
        Failed: The address cannot be used, or a process of the API ended by itself.
        Misused: The server would be open without authentication, or could not read its API keys.
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
        backlog=MOST_CONNECTIONS,  # the kernel has a limit of its own
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
    """Create the application; called in each API process. A configuration error ends the process with a message."""
    end_with_parent()
    from api.app import create_app

    try:
        app: Callable[..., Any] = create_app(read_settings())
    except ConfigurationError as error:
        errors().print(f"error: {error}", markup=False)
        sys.exit(Misused.exit_code)
    tune_garbage_collector()
    return app


def check_access(settings: Settings) -> None:
    """
    Check the settings for authentication before any API process starts.

    Raises:
        Misused: The server would be open without authentication, or could not read its API keys; says what to do.
    """
    try:
        vault_for(settings)
    except ConfigurationError as error:
        raise Misused(str(error)) from error


def allow_files(count: int) -> None:
    """Raise the limit on open files, which children inherit, to `count`, or to the hard limit if that is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        most = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def address_of(host: str, *, setting: str = "HOST") -> str:
    """
    The IP address of a host name. Granian takes no host names.

    Raises:
        Misused: The host name does not resolve.
    """
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise Misused(f"{setting}={host}: the address does not exist: {error}") from error


def check_address(host: str, port: int, *, setting: str = "PORT") -> None:
    """
    Check that the address is free. Granian would silently share the port with another process.

    Raises:
        Failed: The address is in use, or needs more rights; says what to do.
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
            f"stop the process that uses it, or choose another port with {setting}=…"
        ) from error
