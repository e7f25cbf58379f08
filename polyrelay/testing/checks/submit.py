"""Checks of submit, whose errors decide whether a task may be submitted, and billed, a second time."""

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
from polyrelay.testing.service_fixture import CallResult, ServiceFixture, broken_outcome, described
from polyrelay.testing.talks import Break, Reply, Turn, ending_with, replies_of

RETRY_AFTER_S = 7.0


def submit_is_answered(fixture: ServiceFixture) -> Iterator[str]:
    """An accepted submit returns Pending, or Done where the answer has the result; a refused one raises Rejected."""
    result = fixture.submit(*replies_of(fixture.talk.accepted))
    if not isinstance(result, Pending if fixture.talk.polls else Done):
        wanted = "Pending, as the talk has answers to polls" if fixture.talk.polls else "Done, as the talk has no polls"
        yield f"`accepted` must give {wanted}: it {described(result)}"
    elif (broken := broken_outcome(result)) is not None:
        yield f"`accepted` gave an outcome that breaks the contract: {broken}"
    if fixture.wire.surplus:
        yield f"submit sent {len(fixture.wire.sent)} requests, and `accepted` has fewer answers"
    refused = fixture.submit(*replies_of(fixture.talk.refused))
    if not isinstance(refused, Rejected):
        yield f"`refused` must raise Rejected: it {described(refused)}"


def submit_by_status(fixture: ServiceFixture) -> Iterator[str]:
    """An error status to a submit raises the class that says whether the vendor may have accepted it."""
    for status in (*REFUSED, 429, *SERVER_ERRORS):
        for what, reply in bodies_of(status, fixture.talk):
            result = _last(fixture, reply)
            if (wrong := _wrong(fixture, status, result)) is not None:
                yield f"HTTP {status} with {what} must raise {wrong}: it {described(result)}"


def submit_without_connection(fixture: ServiceFixture) -> Iterator[str]:
    """A submit without a connection raises NotAccepted (Unavailable), so that it is submitted again."""
    result = _last(fixture, Break(how="connect"))
    if not isinstance(result, NotAccepted):
        yield f"a refused connection must raise Unavailable: it {described(result)}"


def submit_without_answer(fixture: ServiceFixture) -> Iterator[str]:
    """A submit without an answer in time raises OutcomeUnknown: it may have been accepted and billed."""
    result = _last(fixture, Break(how="read_timeout"))
    if not isinstance(result, OutcomeUnknown):
        yield f"a read timeout must raise OutcomeUnknown: it {described(result)}"


def submit_cut_off(fixture: ServiceFixture) -> Iterator[str]:
    """A submit whose connection is closed raises OutcomeUnknown, unless the bytes received give an outcome."""
    result = _last(fixture, Break(how="cut"))
    if not isinstance(result, OutcomeUnknown):
        yield f"a connection closed before the answer must raise OutcomeUnknown: it {described(result)}"
    result = _last(fixture, Break(how="cut_body", reply=replies_of(fixture.talk.accepted)[-1]))
    if not isinstance(result, OutcomeUnknown | Pending | Done):
        yield f"a truncated answer must raise OutcomeUnknown: it {described(result)}"


def submit_is_sent_once(fixture: ServiceFixture) -> Iterator[str]:
    """Neither the plugin nor its HTTP client repeats a submit that may have been accepted."""
    turns: dict[str, Turn] = {
        "a read timeout": Break(how="read_timeout"),
        "a closed connection": Break(how="cut"),
        **{f"HTTP {status}": Reply(status=status) for status in SERVER_ERRORS if status not in _documented(fixture)},
    }
    for what, turn in turns.items():
        _last(fixture, turn)
        if fixture.wire.surplus:
            request = fixture.wire.sent[-1]
            again = f"{request.method} {request.url.path}"
            yield f"after {what} another request was sent, {again}: a task could be billed twice; disable the retries"


def _last(fixture: ServiceFixture, turn: Turn) -> CallResult:
    return fixture.submit(*ending_with(fixture.talk.accepted, turn))


def _documented(fixture: ServiceFixture) -> frozenset[int]:
    return frozenset(fixture.set_up.not_accepted)


def _wrong(fixture: ServiceFixture, status: int, result: CallResult) -> str | None:
    """The error that should have been raised, or None where it was raised."""
    if status in _documented(fixture):
        return None if isinstance(result, NotAccepted) else "NotAccepted, as `not_accepted` says"
    if status in SERVER_ERRORS:
        return None if isinstance(result, OutcomeUnknown) else "OutcomeUnknown (it may have been accepted)"
    if status == 429:
        return wrong_limit(result)
    if not isinstance(result, Rejected):
        return "Rejected"
    return "Rejected(reason='auth')" if status == 401 and result.reason != "auth" else None


def wrong_limit(result: CallResult) -> str | None:
    """The error that a 429 with `Retry-After: 7` should have raised, or None where it was raised."""
    if not isinstance(result, RateLimited | Overloaded):
        return "RateLimited or Overloaded"
    if result.retry_after_s != RETRY_AFTER_S:
        return f"it with retry_after_s=7.0, as the answer's Retry-After says, not {result.retry_after_s}"
    return None
