"""Checks of the optional capabilities cancel and stream."""

from collections.abc import Iterator

from polyrelay.contract import Delta
from polyrelay.errors import NotAccepted, OutcomeUnknown, ProviderError, Rejected
from polyrelay.testing.checks.any_bytes import NASTY
from polyrelay.testing.checks.statuses import REFUSED, SERVER_ERRORS, bodies_of
from polyrelay.testing.service_fixture import CallResult, ServiceFixture, described
from polyrelay.testing.talks import Break, Reply, Turn, ending_with, replies_of


def cancel_is_answered(fixture: ServiceFixture) -> Iterator[str]:
    """`cancel` returns where the vendor stopped, also when it is repeated, and raises Rejected where it is too late."""
    operation = fixture.operation()
    cancelled = replies_of(fixture.talk.cancelled)
    for time in ("", " a second time"):
        result = fixture.cancel(operation, *cancelled)
        if result is not None:
            yield f"`cancelled`{time} must return None: it {described(result)}"
    if fixture.wire.surplus:
        yield f"cancel sent {len(fixture.wire.sent)} requests, and `cancelled` has fewer answers"
    if too_late := replies_of(fixture.talk.too_late):
        late = fixture.cancel(operation, *too_late)
        if not isinstance(late, Rejected):
            yield f"`too_late` must raise Rejected: it {described(late)}"


def cancel_fails_openly(fixture: ServiceFixture) -> Iterator[str]:
    """A `cancel` that did not reach the vendor, or that the vendor answered with an error, raises a ProviderError."""
    operation = fixture.operation()
    statuses = ((f"HTTP {status}", Reply(status=status)) for status in (*REFUSED, 429, *SERVER_ERRORS))
    for what, turn in (*_breaks(), *statuses):
        result = fixture.cancel(operation, *ending_with(fixture.talk.cancelled, turn))
        if not isinstance(result, ProviderError):
            yield f"after {what} it {described(result)}"
    for body in NASTY:
        result = fixture.cancel(operation, *ending_with(fixture.talk.cancelled, Reply(body=body)))
        if isinstance(result, Exception) and not isinstance(result, ProviderError):
            yield f"after the body {body[:40]!r} it {described(result)}"


def stream_is_answered(fixture: ServiceFixture) -> Iterator[str]:
    """`stream` yields the text as Delta pieces, the last one with the finish reason, and can be closed early."""
    pieces, end = fixture.stream(*replies_of(fixture.talk.streamed))
    if end is not None:
        yield f"`streamed` must end without an error: it {described(end)}"
    elif not pieces or not all(isinstance(piece, Delta) for piece in pieces):
        yield f"`streamed` must yield Delta pieces: it yielded {pieces!r:.200}"
    else:
        if not "".join(piece.text for piece in pieces):
            yield "the pieces of `streamed` hold no text"
        if pieces[-1].finish_reason is None:
            yield "the last piece has no finish_reason, which distinguishes a complete text from a truncated one"
    left = fixture.leave_stream(*replies_of(fixture.talk.streamed))
    if left is not None:
        yield f"closing it after the first piece {described(left)}"


def stream_fails_openly(fixture: ServiceFixture) -> Iterator[str]:
    """A `stream` that does not begin or is cut off raises what a submit raises; it never ends as a complete one."""
    for status in (*REFUSED, 429, *SERVER_ERRORS):
        for what, reply in bodies_of(status, fixture.talk):
            result = fixture.stream(*ending_with(fixture.talk.streamed, reply))[1]
            if not isinstance(result, _of_status(status)):
                yield f"HTTP {status} with {what} must raise {_of_status(status).__name__}: it {described(result)}"
    whole = replies_of(fixture.talk.streamed)[-1]
    for what, turn in (*_breaks(), ("a truncated answer", Break(how="cut_body", reply=whole))):
        result = fixture.stream(*ending_with(fixture.talk.streamed, turn))[1]
        wanted = NotAccepted if turn == Break(how="connect") else OutcomeUnknown
        if not isinstance(result, wanted):
            yield f"{what} must raise {wanted.__name__}: it {described(result)}"
    yield from _short_texts(fixture, whole)


def _short_texts(fixture: ServiceFixture, whole: Reply) -> Iterator[str]:
    """A connection that ends cleanly in the middle of the text, and bytes that are no text."""
    half = Reply(body=whole.content[: len(whole.content) // 2], headers=whole.headers)
    result = fixture.stream(*ending_with(fixture.talk.streamed, half))[1]
    if not isinstance(result, ProviderError):
        yield f"half of the text must raise OutcomeUnknown or ProtocolError: it {_ended(result)}"
    for body in NASTY:
        result = fixture.stream(*ending_with(fixture.talk.streamed, Reply(body=body)))[1]
        if not isinstance(result, ProviderError):
            yield f"the body {body[:40]!r} must raise a ProviderError: it {_ended(result)}"


def _breaks() -> tuple[tuple[str, Turn], ...]:
    return (
        ("a refused connection", Break(how="connect")),
        ("a read timeout", Break(how="read_timeout")),
        ("a closed connection", Break(how="cut")),
    )


def _of_status(status: int) -> type[ProviderError]:
    if status in SERVER_ERRORS:
        return OutcomeUnknown
    return NotAccepted if status == 429 else Rejected


def _ended(result: CallResult) -> str:
    return "ended as if it were whole" if result is None else described(result)
