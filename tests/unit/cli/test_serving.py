"""The address and limits of the API."""

import resource
import socket

import pytest

from cli.embedded.ports import free_port
from cli.output import Failed, Misused
from cli.serving import address_of, allow_files, check_address


def test_a_port_in_use_is_refused_with_advice() -> None:
    """The library would share the port silently; the error names the address and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failed, match=rf"127\.0\.0\.1:{port}.*PORT=…"):
            check_address("127.0.0.1", port)


def test_a_free_port_stays_free_after_the_check() -> None:
    """The check can be repeated."""
    port = free_port()

    check_address("127.0.0.1", port)
    check_address("127.0.0.1", port)


def test_host_names_are_resolved() -> None:
    """The library accepts no host names."""
    assert address_of("localhost") in {"127.0.0.1", "::1"}


def test_an_unknown_host_is_a_usage_error() -> None:
    """The message names HOST."""
    with pytest.raises(Misused, match="HOST=no such host"):
        address_of("no such host")


def test_the_limit_on_open_files_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is often 1,024; the new limit is never above the hard limit."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    for soft, hard in ((1024, 524_288), (1024, 4096), (1024, resource.RLIM_INFINITY), (20_000, 20_000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limits=(soft, hard): limits)
        allow_files(11_000)

    assert asked == [(11_000, 524_288), (4096, 4096), (11_000, resource.RLIM_INFINITY)]
