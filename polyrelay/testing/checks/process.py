"""How a service behaves in a process that it shares with others."""

from collections.abc import Iterator
from typing import Final

from polyrelay.testing.scene import Scene, described
from polyrelay.testing.talks import replies_of

LONGEST_STALL_S: Final = 0.05
VENDOR_S: Final = 0.1
_TRIES: Final = 3


def loop_is_not_blocked(scene: Scene) -> Iterator[str]:
    """Neither submit nor poll holds the event loop for more than 50 ms, while the vendor takes 100 ms to answer."""
    operation = scene.operation() if scene.talk.polls else ""
    scene.wire.latency_s = VENDOR_S
    calls = {"submit": (scene.talk.accepted, lambda: scene.service.submit(scene.job()))}
    if scene.talk.polls:
        calls["poll"] = (scene.talk.done, lambda: scene.service.poll(scene.job(), operation))
    for name, (replies, call) in calls.items():
        stall = scene.longest_stall(replies, call)
        for _ in range(_TRIES):  # a busy machine also holds the loop, but not every time
            stall = min(stall, scene.longest_stall(replies, call)) if stall > LONGEST_STALL_S else stall
        if stall > LONGEST_STALL_S:
            yield (
                f"{name} held the event loop for {stall * 1000:.0f} ms, and every other task of the worker with it: "
                "await an asynchronous client, or call with asyncio.to_thread"
            )


def network_is_reached_with_httpx(scene: Scene) -> Iterator[str]:
    """Every request goes out through httpx, which the kit can play to."""
    scene.submit(*replies_of(scene.talk.accepted))
    if not scene.wire.sent:
        yield "submit sent no request with httpx"
    if scene.wire.strays:
        yield f"a connection was opened without httpx, to {', '.join(dict.fromkeys(scene.wire.strays))}"


def aclose_is_harmless(scene: Scene) -> Iterator[str]:
    """A service can be closed before it was used, after it, and twice."""
    for what in ("before it was used", "a second time"):
        heard = scene.played((), scene.service.aclose)
        if heard is not None:
            yield f"aclose {what} {described(heard)}"
    scene.rebuild()
    scene.submit(*replies_of(scene.talk.accepted))
    heard = scene.played((), scene.service.aclose)
    if heard is not None:
        yield f"aclose after a submit {described(heard)}"
