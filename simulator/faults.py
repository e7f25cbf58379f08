"""The faults that can be asked for, and the book that deals them out."""

import itertools
from fnmatch import fnmatchcase

import msgspec


class _Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What goes wrong with one call, or with the operation that the call starts."""


class Error(_Fault, frozen=True, tag="error"):
    """
    Answer with an error before anything is accepted, in the vendor's envelope.

    Attributes:
        code: A number gives Volcengine's business envelope, a name its gateway's; ark and openai take names.
        status: HTTP status; Volcengine's codes know their own.
    """

    code: int | str
    status: int | None = None
    message: str = ""
    retry_after_s: float | None = None


class Hang(_Fault, frozen=True, tag="hang"):
    """Say nothing for a while, then answer as usual; ends early when the client leaves."""

    seconds: float
    accepted: bool = True


class CutBefore(_Fault, frozen=True, tag="cut_before"):
    """Close the connection; nothing was accepted."""


class CutAfter(_Fault, frozen=True, tag="cut_after"):
    """Accept, then close the connection without an answer: the operation exists and is counted."""


class Garbage(_Fault, frozen=True, tag="garbage"):
    """Accept, then answer 200 with a body that is not JSON."""


class Truncated(_Fault, frozen=True, tag="truncated"):
    """
    Accept, then send half of the answer.

    Attributes:
        clean: End the answer properly, so that only the document is short; else the connection is cut in the middle.
    """

    clean: bool = False


class BrokenGzip(_Fault, frozen=True, tag="broken_gzip"):
    """Accept, then answer with a body that says it is gzip and is not from its middle on."""


class Huge(_Fault, frozen=True, tag="huge"):
    """Accept, then answer with a body of this many bytes; stops when the client leaves."""

    size_bytes: int = 64 * 1024 * 1024


class Expired(_Fault, frozen=True, tag="expired"):
    """The operation ends as expired."""


class UnknownStatus(_Fault, frozen=True, tag="unknown_status"):
    """Queries answer with a status that no document names."""

    status: str = "paused_by_operator"


class Backwards(_Fault, frozen=True, tag="backwards"):
    """The status goes from running back to queued before it ends. On one query: that answer says queued."""


class FailGeneration(_Fault, frozen=True, tag="fail_generation"):
    """
    Accepted, then failed while generating.

    Attributes:
        code: The vendor's code, as in `Error`.
        picture: In a group of pictures only the one with this index fails (Ark images).
        with_data: Volcengine answers `data: {"status": "done"}` beside the code, in place of null.
    """

    code: int | str
    message: str = ""
    status: int | None = None
    picture: int | None = None
    with_data: bool = False


class NeverEnds(_Fault, frozen=True, tag="never_ends"):
    """The operation runs forever. A call that answers with its result hangs until the client leaves."""


class Result403(_Fault, frozen=True, tag="result_403"):
    """The result's links answer 403. With the kind `files`: that download does."""


Fault = (
    Error
    | Hang
    | CutBefore
    | CutAfter
    | Garbage
    | Truncated
    | BrokenGzip
    | Huge
    | Expired
    | UnknownStatus
    | Backwards
    | FailGeneration
    | NeverEnds
    | Result403
)

# Faults of the generation, not of one call's transport: a query shows them, a submit hands them to the operation.
GENERATION_FAULTS = (Expired, UnknownStatus, Backwards, FailGeneration, NeverEnds, Result403)


class FaultRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    A fault to deal out.

    Attributes:
        kind: Call kind or pattern: `visual.submit`, `visual.*`, `*`.
        prompt: Only calls whose prompt contains this text.
        times: How many calls it hits; null means every one.
    """

    kind: str
    fault: Fault
    prompt: str | None = None
    times: int | None = 1


class FaultRule(msgspec.Struct, kw_only=True):
    """A fault in the book; `left` counts down, null never ends."""

    id: int
    kind: str
    fault: Fault
    prompt: str | None
    left: int | None
    hits: int = 0

    def matches(self, kind: str, prompt: str) -> bool:
        """Whether it hits this call."""
        if self.left == 0 or not fnmatchcase(kind, self.kind):
            return False
        return self.prompt is None or self.prompt in prompt


class FaultBook:
    """The rules in the order of their adding; the first that matches hits."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._rules: list[FaultRule] = []

    def add(self, request: FaultRequest) -> FaultRule:
        """Put a rule at the end."""
        rule = FaultRule(
            id=next(self._ids), kind=request.kind, fault=request.fault, prompt=request.prompt, left=request.times
        )
        self._rules.append(rule)
        return rule

    def take(self, kind: str, prompt: str) -> Fault | None:
        """The fault for this call, used up by one."""
        rule = next((rule for rule in self._rules if rule.matches(kind, prompt)), None)
        if rule is None:
            return None
        rule.hits += 1
        if rule.left is not None:
            rule.left -= 1
        return rule.fault

    def rules(self) -> list[FaultRule]:
        """Every rule, spent ones too."""
        return list(self._rules)

    def remove(self, rule_id: int) -> bool:
        """Forget one rule; False where there is none."""
        kept = [rule for rule in self._rules if rule.id != rule_id]
        found = len(kept) < len(self._rules)
        self._rules = kept
        return found

    def clear(self) -> None:
        """Forget every rule."""
        self._rules = []
