"""Cancel and stream, of services that offer them."""

from collections.abc import Iterator

from polyrelay.contract import Delta
from polyrelay.errors import NotAccepted, OutcomeUnknown, ProviderError, Rejected
from polyrelay.testing.checks.any_bytes import NASTY
from polyrelay.testing.checks.statuses import REFUSED, SERVER_ERRORS, bodies_of
from polyrelay.testing.scene import Heard, Scene, described
from polyrelay.testing.talks import Break, Reply, Turn, ending_with, replies_of


def cancel_is_answered(scene: Scene) -> Iterator[str]:
    """`cancel` returns where the vendor stopped, also a second time, and raises Rejected where it is too late."""
    operation = scene.operation()
    cancelled = replies_of(scene.talk.cancelled)
    for time in ("", " a second time"):
        heard = scene.cancel(operation, *cancelled)
        if heard is not None:
            yield f"`cancelled`{time} must return None: it {described(heard)}"
    if scene.wire.surplus:
        yield f"cancel sent {len(scene.wire.sent)} requests, and `cancelled` has fewer answers"
    if too_late := replies_of(scene.talk.too_late):
        late = scene.cancel(operation, *too_late)
        if not isinstance(late, Rejected):
            yield f"`too_late` must raise Rejected: it {described(late)}"


def cancel_fails_openly(scene: Scene) -> Iterator[str]:
    """A `cancel` that did not reach the vendor, or was answered with an error, raises a ProviderError."""
    operation = scene.operation()
    statuses = ((f"HTTP {status}", Reply(status=status)) for status in (*REFUSED, 429, *SERVER_ERRORS))
    for what, turn in (*_breaks(), *statuses):
        heard = scene.cancel(operation, *ending_with(scene.talk.cancelled, turn))
        if not isinstance(heard, ProviderError):
            yield f"after {what} it {described(heard)}"
    for body in NASTY:
        heard = scene.cancel(operation, *ending_with(scene.talk.cancelled, Reply(body=body)))
        if isinstance(heard, Exception) and not isinstance(heard, ProviderError):
            yield f"after the body {body[:40]!r} it {described(heard)}"


def stream_is_answered(scene: Scene) -> Iterator[str]:
    """`stream` yields the text as Delta pieces, the last of them with the finish reason, and can be left early."""
    pieces, end = scene.stream(*replies_of(scene.talk.streamed))
    if end is not None:
        yield f"`streamed` must end without an error: it {described(end)}"
    elif not pieces or not all(isinstance(piece, Delta) for piece in pieces):
        yield f"`streamed` must yield Delta pieces: it yielded {pieces!r:.200}"
    else:
        if not "".join(piece.text for piece in pieces):
            yield "the pieces of `streamed` hold no text"
        if pieces[-1].finish_reason is None:
            yield "the last piece has no finish_reason, which tells a whole text from one that broke off"
    left = scene.leave_stream(*replies_of(scene.talk.streamed))
    if left is not None:
        yield f"leaving it after the first piece {described(left)}"


def stream_fails_openly(scene: Scene) -> Iterator[str]:
    """A `stream` that does not begin, or breaks off, raises as a submit does; it never ends as if it were whole."""
    for status in (*REFUSED, 429, *SERVER_ERRORS):
        for what, reply in bodies_of(status, scene.talk):
            heard = scene.stream(*ending_with(scene.talk.streamed, reply))[1]
            if not isinstance(heard, _of_status(status)):
                yield f"HTTP {status} with {what} must raise {_of_status(status).__name__}: it {described(heard)}"
    whole = replies_of(scene.talk.streamed)[-1]
    for what, turn in (*_breaks(), ("a cut in the middle", Break(how="cut_body", reply=whole))):
        heard = scene.stream(*ending_with(scene.talk.streamed, turn))[1]
        wanted = NotAccepted if turn == Break(how="connect") else OutcomeUnknown
        if not isinstance(heard, wanted):
            yield f"{what} must raise {wanted.__name__}: it {described(heard)}"
    yield from _short_texts(scene, whole)


def _short_texts(scene: Scene, whole: Reply) -> Iterator[str]:
    """A connection that ends cleanly in the middle of the text, and bytes that are no text."""
    half = Reply(body=whole.content[: len(whole.content) // 2], headers=whole.headers)
    heard = scene.stream(*ending_with(scene.talk.streamed, half))[1]
    if not isinstance(heard, ProviderError):
        yield f"half of the text must raise OutcomeUnknown or ProtocolError: it {_ended(heard)}"
    for body in NASTY:
        heard = scene.stream(*ending_with(scene.talk.streamed, Reply(body=body)))[1]
        if not isinstance(heard, ProviderError):
            yield f"the body {body[:40]!r} must raise a ProviderError: it {_ended(heard)}"


def _breaks() -> tuple[tuple[str, Turn], ...]:
    return (
        ("a refused connection", Break(how="connect")),
        ("a read timeout", Break(how="read_timeout")),
        ("a cut connection", Break(how="cut")),
    )


def _of_status(status: int) -> type[ProviderError]:
    if status in SERVER_ERRORS:
        return OutcomeUnknown
    return NotAccepted if status == 429 else Rejected


def _ended(heard: Heard) -> str:
    return "ended as if it were whole" if heard is None else described(heard)
