"""Where the API listens."""

import resource
import socket

import pytest

from cli.embedded.ports import free_port
from cli.output import Failed, Misused
from cli.serving import address_of, allow_files, check_address


def test_a_port_in_use_is_refused_with_the_way_out() -> None:
    """The server's library would share the port silently; we look first, and name address and way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failed, match=rf"127\.0\.0\.1:{port}.*PORT=…"):
            check_address("127.0.0.1", port)


def test_a_free_port_is_fine() -> None:
    """Looking does not use the port up."""
    port = free_port()

    check_address("127.0.0.1", port)
    check_address("127.0.0.1", port)


def test_names_become_addresses() -> None:
    """The server's library takes no host names."""
    assert address_of("localhost") in {"127.0.0.1", "::1"}


def test_a_host_that_does_not_exist_is_misuse() -> None:
    """HOST is named in the message."""
    with pytest.raises(Misused, match="HOST=no such host"):
        address_of("no such host")


def test_as_many_files_may_be_open_as_connections_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many systems allow a process 1,024 until it asks for more; never is more asked for than it may have."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    for soft, hard in ((1024, 524_288), (1024, 4096), (1024, resource.RLIM_INFINITY), (20_000, 20_000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limits=(soft, hard): limits)
        allow_files(11_000)

    assert asked == [(11_000, 524_288), (4096, 4096), (11_000, resource.RLIM_INFINITY)]
