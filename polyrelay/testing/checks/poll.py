"""
Checks of poll.

The generation may be billed, so a failure that may be temporary must raise an error
after which the server polls again.
"""

from collections.abc import Iterator

from msgspec import structs

from polyrelay.contract import Done, Output, Pending, TextOutput
from polyrelay.errors import GenerationFailed, NotAccepted, OutcomeUnknown, Rejected
from polyrelay.testing.checks.statuses import REFUSED, SERVER_ERRORS, bodies_of
from polyrelay.testing.checks.submit import wrong_limit
from polyrelay.testing.service_fixture import CallResult, ServiceFixture, broken_outcome, described
from polyrelay.testing.talks import Break, Replies, Turn, ending_with, replies_of

_NO_ANSWER = {
    "a refused connection": Break(how="connect"),
    "a read timeout": Break(how="read_timeout"),
    "a closed connection": Break(how="cut"),
}


def poll_is_answered(fixture: ServiceFixture) -> Iterator[str]:
    """A poll returns Pending while the vendor works and Done when it has finished; it raises GenerationFailed."""
    operation = fixture.operation()
    for name, wanted in (("working", Pending), ("done", Done), ("failed", GenerationFailed)):
        replies = replies_of(getattr(fixture.talk, name))
        result = fixture.poll(operation, *replies) if replies else None
        if result is None:
            continue
        if not isinstance(result, wanted):
            yield f"`{name}` must give {wanted.__name__}: it {described(result)}"
        elif not isinstance(result, GenerationFailed) and (broken := broken_outcome(result)) is not None:
            yield f"`{name}` gave an outcome that breaks the contract: {broken}"
        if fixture.wire.surplus:
            yield f"poll sent {len(fixture.wire.sent)} requests, and `{name}` has fewer answers"


def poll_is_repeatable(fixture: ServiceFixture) -> Iterator[str]:
    """A repeated poll has the same result, also after the end of the generation."""
    operation = fixture.operation()
    for name in ("working", "done", "failed"):
        if replies := replies_of(getattr(fixture.talk, name)):
            first, second = fixture.poll(operation, *replies), fixture.poll(operation, *replies)
            if _same(first) != _same(second):
                yield f"`{name}`: the first poll {described(first)}, the second one {described(second)}"


def poll_needs_no_memory(fixture: ServiceFixture) -> Iterator[str]:
    """A poll in another process than the submit's has the same result."""
    operation = fixture.operation()
    here = fixture.poll(operation, *replies_of(fixture.talk.done))
    fixture.rebuild()
    there = fixture.poll(operation, *replies_of(fixture.talk.done))
    if _same(here) != _same(there):
        yield (
            f"in the process of the submit the poll {described(here)}, in a new one it {described(there)}; "
            "all that poll needs must be in the operation"
        )


def poll_by_status(fixture: ServiceFixture) -> Iterator[str]:
    """An error status to a poll raises a class after which the server polls again, unless the operation is lost."""
    operation = fixture.operation()
    for status in (*REFUSED, 429, *SERVER_ERRORS):
        for what, reply in bodies_of(status, fixture.talk):
            result = _last(fixture, operation, reply)
            if (wrong := _wrong(status, result)) is not None:
                yield f"HTTP {status} with {what} must raise {wrong}: it {described(result)}"


def poll_without_answer(fixture: ServiceFixture) -> Iterator[str]:
    """A poll without an answer raises NotAccepted or OutcomeUnknown, after which the server polls again."""
    operation = fixture.operation()
    done = replies_of(fixture.talk.done)[-1]
    for what, turn in {**_NO_ANSWER, "a truncated answer": Break(how="cut_body", reply=done)}.items():
        result = _last(fixture, operation, turn, replies=fixture.talk.done)
        if not isinstance(result, NotAccepted | OutcomeUnknown):
            yield f"{what} must raise Unavailable or OutcomeUnknown: it {described(result)}"


def _last(fixture: ServiceFixture, operation: str, turn: Turn, replies: Replies | None = None) -> CallResult:
    return fixture.poll(operation, *ending_with(replies or fixture.talk.working, turn))


def _wrong(status: int, result: CallResult) -> str | None:
    """The error that should have been raised, or None where it was raised."""
    if status == 429:
        return wrong_limit(result)
    if status in SERVER_ERRORS:
        fitting = isinstance(result, NotAccepted | OutcomeUnknown)
        return None if fitting else "Unavailable or OutcomeUnknown (the server polls again)"
    if status in (401, 403):
        fitting = isinstance(result, Rejected) and result.reason in ("auth", "quota")
        return None if fitting else "Rejected(reason='auth') (the server polls again: the key may be restored)"
    return None if isinstance(result, Rejected | GenerationFailed) else "Rejected or GenerationFailed"


def _same(result: CallResult) -> object:
    """The result for comparison: without the remaining lifetime of links, which changes with time."""
    match result:
        case Done():
            return structs.replace(result, outputs=tuple(map(_without_lifetime, result.outputs)))
        case BaseException():
            return type(result), str(result)
        case _:
            return result


def _without_lifetime(output: Output) -> Output:
    return output if isinstance(output, TextOutput) else structs.replace(output, lifetime_s=None)
