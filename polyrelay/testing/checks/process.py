"""Checks of how a service behaves in a process that it shares with other providers."""

from collections.abc import Iterator
from typing import Final

from polyrelay.testing.service_fixture import ServiceFixture, described
from polyrelay.testing.talks import replies_of

LONGEST_STALL_S: Final = 0.05
VENDOR_S: Final = 0.1
_TRIES: Final = 3


def loop_is_not_blocked(fixture: ServiceFixture) -> Iterator[str]:
    """Neither submit nor poll blocks the event loop for more than 50 ms; the vendor takes 100 ms to answer."""
    operation = fixture.operation() if fixture.talk.polls else ""
    fixture.wire.latency_s = VENDOR_S
    calls = {"submit": (fixture.talk.accepted, lambda: fixture.service.submit(fixture.job()))}
    if fixture.talk.polls:
        calls["poll"] = (fixture.talk.done, lambda: fixture.service.poll(fixture.job(), operation))
    for name, (replies, call) in calls.items():
        stall = fixture.longest_stall(replies, call)
        for _ in range(_TRIES):  # a busy machine also blocks the loop, but not every time
            stall = min(stall, fixture.longest_stall(replies, call)) if stall > LONGEST_STALL_S else stall
        if stall > LONGEST_STALL_S:
            yield (
                f"{name} blocked the event loop for {stall * 1000:.0f} ms, and with it all other tasks of the worker: "
                "await an asynchronous client, or call with asyncio.to_thread"
            )


def network_is_reached_with_httpx(fixture: ServiceFixture) -> Iterator[str]:
    """Every request is sent with httpx, whose transport the kit replaces."""
    fixture.submit(*replies_of(fixture.talk.accepted))
    if not fixture.wire.sent:
        yield "submit sent no request with httpx"
    if fixture.wire.strays:
        yield f"a connection was opened without httpx, to {', '.join(dict.fromkeys(fixture.wire.strays))}"


def aclose_is_harmless(fixture: ServiceFixture) -> Iterator[str]:
    """A service can be closed before its first use, after it, and twice."""
    for what in ("before it was used", "a second time"):
        result = fixture.played((), fixture.service.aclose)
        if result is not None:
            yield f"aclose {what} {described(result)}"
    fixture.rebuild()
    fixture.submit(*replies_of(fixture.talk.accepted))
    result = fixture.played((), fixture.service.aclose)
    if result is not None:
        yield f"aclose after a submit {described(result)}"
