"""What a submit must come to. Its errors decide whether a task may be submitted, and billed, a second time."""

from collections.abc import Iterator

from polyrelay.contract import Done, Pending
from polyrelay.errors import (
    NotAccepted,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    Rejected,
)
from polyrelay.testing.checks.statuses import REFUSED, SERVER_ERRORS, bodies_of
from polyrelay.testing.scene import Heard, Scene, broken_outcome, described
from polyrelay.testing.talks import Break, Reply, Turn, ending_with, replies_of

RETRY_AFTER_S = 7.0


def submit_is_answered(scene: Scene) -> Iterator[str]:
    """An accepted submit answers Pending, or Done where the vendor answers at once; a refused one raises Rejected."""
    heard = scene.submit(*replies_of(scene.talk.accepted))
    if not isinstance(heard, Pending if scene.talk.polls else Done):
        wanted = "Pending, as the talk has answers to polls" if scene.talk.polls else "Done, as the talk has no polls"
        yield f"`accepted` must come to {wanted}: it {described(heard)}"
    elif (broken := broken_outcome(heard)) is not None:
        yield f"`accepted` came to an outcome against the contract: {broken}"
    if scene.wire.surplus:
        yield f"submit sent {len(scene.wire.sent)} requests, and `accepted` has fewer answers"
    refused = scene.submit(*replies_of(scene.talk.refused))
    if not isinstance(refused, Rejected):
        yield f"`refused` must raise Rejected: it {described(refused)}"


def submit_by_status(scene: Scene) -> Iterator[str]:
    """An error status to a submit raises the class that tells whether the vendor may have accepted it."""
    for status in (*REFUSED, 429, *SERVER_ERRORS):
        for what, reply in bodies_of(status, scene.talk):
            heard = _last(scene, reply)
            if (wrong := _wrong(scene, status, heard)) is not None:
                yield f"HTTP {status} with {what} must raise {wrong}: it {described(heard)}"


def submit_without_connection(scene: Scene) -> Iterator[str]:
    """A submit that finds no connection raises NotAccepted (Unavailable), so that it is tried again."""
    heard = _last(scene, Break(how="connect"))
    if not isinstance(heard, NotAccepted):
        yield f"a refused connection must raise Unavailable: it {described(heard)}"


def submit_without_answer(scene: Scene) -> Iterator[str]:
    """A submit whose answer does not come in time raises OutcomeUnknown: it may have been accepted and billed."""
    heard = _last(scene, Break(how="read_timeout"))
    if not isinstance(heard, OutcomeUnknown):
        yield f"a read timeout must raise OutcomeUnknown: it {described(heard)}"


def submit_cut_off(scene: Scene) -> Iterator[str]:
    """A submit whose connection is cut raises OutcomeUnknown, unless what had come by then is an outcome."""
    heard = _last(scene, Break(how="cut"))
    if not isinstance(heard, OutcomeUnknown):
        yield f"a cut before the answer must raise OutcomeUnknown: it {described(heard)}"
    heard = _last(scene, Break(how="cut_body", reply=replies_of(scene.talk.accepted)[-1]))
    if not isinstance(heard, OutcomeUnknown | Pending | Done):
        yield f"a cut in the middle of the answer must raise OutcomeUnknown: it {described(heard)}"


def submit_is_sent_once(scene: Scene) -> Iterator[str]:
    """A submit that may have been accepted is not sent again by the plugin or its HTTP client."""
    turns: dict[str, Turn] = {
        "a read timeout": Break(how="read_timeout"),
        "a cut connection": Break(how="cut"),
        **{f"HTTP {status}": Reply(status=status) for status in SERVER_ERRORS if status not in _documented(scene)},
    }
    for what, turn in turns.items():
        _last(scene, turn)
        if scene.wire.surplus:
            request = scene.wire.sent[-1]
            again = f"{request.method} {request.url.path}"
            yield f"after {what} another request was sent, {again}: a task could be paid twice; switch off its retries"


def _last(scene: Scene, turn: Turn) -> Heard:
    return scene.submit(*ending_with(scene.talk.accepted, turn))


def _documented(scene: Scene) -> frozenset[int]:
    return frozenset(scene.set_up.not_accepted)


def _wrong(scene: Scene, status: int, heard: Heard) -> str | None:
    """What should have been raised, or None where it was."""
    if status in _documented(scene):
        return None if isinstance(heard, NotAccepted) else "NotAccepted, as `not_accepted` says"
    if status in SERVER_ERRORS:
        return None if isinstance(heard, OutcomeUnknown) else "OutcomeUnknown (it may have been accepted)"
    if status == 429:
        return wrong_limit(heard)
    if not isinstance(heard, Rejected):
        return "Rejected"
    return "Rejected(reason='auth')" if status == 401 and heard.reason != "auth" else None


def wrong_limit(heard: Heard) -> str | None:
    """What a 429 with `Retry-After: 7` should have raised, or None where it was."""
    if not isinstance(heard, RateLimited | Overloaded):
        return "RateLimited or Overloaded"
    if heard.retry_after_s != RETRY_AFTER_S:
        return f"it with retry_after_s=7.0, as the answer's Retry-After says, not {heard.retry_after_s}"
    return None
