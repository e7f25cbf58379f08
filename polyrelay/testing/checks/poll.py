"""What a poll must come to: a generation that may be billed is at stake, so what may pass must look like that."""

from collections.abc import Iterator

from msgspec import structs

from polyrelay.contract import Done, Output, Pending, TextOutput
from polyrelay.errors import GenerationFailed, NotAccepted, OutcomeUnknown, Rejected
from polyrelay.testing.checks.statuses import REFUSED, SERVER_ERRORS, bodies_of
from polyrelay.testing.checks.submit import wrong_limit
from polyrelay.testing.scene import Heard, Scene, broken_outcome, described
from polyrelay.testing.talks import Break, Replies, Turn, ending_with, replies_of

_NO_ANSWER = {
    "a refused connection": Break(how="connect"),
    "a read timeout": Break(how="read_timeout"),
    "a cut connection": Break(how="cut"),
}


def poll_is_answered(scene: Scene) -> Iterator[str]:
    """A poll answers Pending while the vendor works, Done when it is finished, and raises GenerationFailed."""
    operation = scene.operation()
    for name, wanted in (("working", Pending), ("done", Done), ("failed", GenerationFailed)):
        replies = replies_of(getattr(scene.talk, name))
        heard = scene.poll(operation, *replies) if replies else None
        if heard is None:
            continue
        if not isinstance(heard, wanted):
            yield f"`{name}` must come to {wanted.__name__}: it {described(heard)}"
        elif not isinstance(heard, GenerationFailed) and (broken := broken_outcome(heard)) is not None:
            yield f"`{name}` came to an outcome against the contract: {broken}"
        if scene.wire.surplus:
            yield f"poll sent {len(scene.wire.sent)} requests, and `{name}` has fewer answers"


def poll_is_repeatable(scene: Scene) -> Iterator[str]:
    """Polling again, also after the end, comes to the same."""
    operation = scene.operation()
    for name in ("working", "done", "failed"):
        if replies := replies_of(getattr(scene.talk, name)):
            first, second = scene.poll(operation, *replies), scene.poll(operation, *replies)
            if _same(first) != _same(second):
                yield f"`{name}`: the first poll {described(first)}, the second one {described(second)}"


def poll_needs_no_memory(scene: Scene) -> Iterator[str]:
    """A poll in another process, which never saw the submit, comes to the same."""
    operation = scene.operation()
    here = scene.poll(operation, *replies_of(scene.talk.done))
    scene.rebuild()
    there = scene.poll(operation, *replies_of(scene.talk.done))
    if _same(here) != _same(there):
        yield (
            f"in the process of the submit the poll {described(here)}, in a new one it {described(there)}; "
            "whatever poll needs must be in the operation"
        )


def poll_by_status(scene: Scene) -> Iterator[str]:
    """An error status to a poll raises a class that is waited out, unless it says that the operation is lost."""
    operation = scene.operation()
    for status in (*REFUSED, 429, *SERVER_ERRORS):
        for what, reply in bodies_of(status, scene.talk):
            heard = _last(scene, operation, reply)
            if (wrong := _wrong(status, heard)) is not None:
                yield f"HTTP {status} with {what} must raise {wrong}: it {described(heard)}"


def poll_without_answer(scene: Scene) -> Iterator[str]:
    """A poll without an answer raises NotAccepted or OutcomeUnknown, after which it is asked again."""
    operation = scene.operation()
    done = replies_of(scene.talk.done)[-1]
    for what, turn in {**_NO_ANSWER, "a cut in the middle of the answer": Break(how="cut_body", reply=done)}.items():
        heard = _last(scene, operation, turn, replies=scene.talk.done)
        if not isinstance(heard, NotAccepted | OutcomeUnknown):
            yield f"{what} must raise Unavailable or OutcomeUnknown: it {described(heard)}"


def _last(scene: Scene, operation: str, turn: Turn, replies: Replies | None = None) -> Heard:
    return scene.poll(operation, *ending_with(replies or scene.talk.working, turn))


def _wrong(status: int, heard: Heard) -> str | None:
    """What should have been raised, or None where it was."""
    if status == 429:
        return wrong_limit(heard)
    if status in SERVER_ERRORS:
        fitting = isinstance(heard, NotAccepted | OutcomeUnknown)
        return None if fitting else "Unavailable or OutcomeUnknown (it is asked again)"
    if status in (401, 403):
        fitting = isinstance(heard, Rejected) and heard.reason in ("auth", "quota")
        return None if fitting else "Rejected(reason='auth') (it is asked again: keys may come back)"
    return None if isinstance(heard, Rejected | GenerationFailed) else "Rejected or GenerationFailed"


def _same(heard: Heard) -> object:
    """What must be equal: everything but the time that a link still works, which runs."""
    match heard:
        case Done():
            return structs.replace(heard, outputs=tuple(map(_without_lifetime, heard.outputs)))
        case BaseException():
            return type(heard), str(heard)
        case _:
            return heard


def _without_lifetime(output: Output) -> Output:
    return output if isinstance(output, TextOutput) else structs.replace(output, lifetime_s=None)
