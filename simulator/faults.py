"""Faults: what can go wrong with a call or a generation, and the rules that choose a fault for a call."""

import itertools
from fnmatch import fnmatchcase

import msgspec


class _Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A fault of one call, or of the operation that the call starts."""


class Error(_Fault, frozen=True, tag="error"):
    """
    Answer with an error before anything is accepted, in the vendor's envelope.

    Attributes:
        code: A name. For Volcengine a number selects the business envelope, a name that of the gateway.
        status: HTTP status; by default Volcengine's codes determine it.
    """

    code: int | str
    status: int | None = None
    message: str = ""
    retry_after_s: float | None = None


class Hang(_Fault, frozen=True, tag="hang"):
    """Answer as usual after `seconds`. Ends early if the client closes the connection."""

    seconds: float
    accepted: bool = True


class CutBefore(_Fault, frozen=True, tag="cut_before"):
    """Close the connection and accept nothing."""


class CutAfter(_Fault, frozen=True, tag="cut_after"):
    """Accept, then close the connection without an answer. The operation exists and is counted."""


class Garbage(_Fault, frozen=True, tag="garbage"):
    """Accept, then answer 200 with a body that is not JSON."""


class Truncated(_Fault, frozen=True, tag="truncated"):
    """
    Accept, then send half of the answer.

    Attributes:
        clean: End the HTTP answer correctly, so that only the document is cut; else close the connection in the middle.
    """

    clean: bool = False


class BrokenGzip(_Fault, frozen=True, tag="broken_gzip"):
    """Accept, then answer with a gzip body that is invalid from its middle on."""


class Huge(_Fault, frozen=True, tag="huge"):
    """Accept, then answer with a body of `size_bytes`. Stops if the client closes the connection."""

    size_bytes: int = 64 * 1024 * 1024


class Expired(_Fault, frozen=True, tag="expired"):
    """The operation expires."""


class UnknownStatus(_Fault, frozen=True, tag="unknown_status"):
    """Queries answer with a status that the vendor does not document."""

    status: str = "paused_by_operator"


class Backwards(_Fault, frozen=True, tag="backwards"):
    """The status changes from running back to queued before the end. On a query: only that answer says queued."""


class FailGeneration(_Fault, frozen=True, tag="fail_generation"):
    """
    Accept, then fail while generating.

    Attributes:
        code: The vendor's code, as in `Error`.
        picture: Index of the picture in a group that fails alone (Ark images).
        with_data: Volcengine answers `data: {"status": "done"}` with the code, in place of null.
    """

    code: int | str
    message: str = ""
    status: int | None = None
    picture: int | None = None
    with_data: bool = False


class NeverEnds(_Fault, frozen=True, tag="never_ends"):
    """The operation never ends. A call that answers with its result hangs until the client closes the connection."""


class Result403(_Fault, frozen=True, tag="result_403"):
    """The links of the result answer 403. With the kind `files`, only that download does."""


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

# Faults of the generation, not of the transport. On a query they affect its answer, on a submit the operation.
GENERATION_FAULTS = (Expired, UnknownStatus, Backwards, FailGeneration, NeverEnds, Result403)


class FaultRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    A fault rule to add.

    Attributes:
        kind: Call kind or pattern: `visual.submit`, `visual.*`, `*`.
        prompt: Only calls whose prompt contains this text.
        times: Number of calls to which the fault applies; null means every call.
    """

    kind: str
    fault: Fault
    prompt: str | None = None
    times: int | None = 1


class FaultRule(msgspec.Struct, kw_only=True):
    """A fault rule. `left` is the number of further calls to which it applies; null means every call."""

    id: int
    kind: str
    fault: Fault
    prompt: str | None
    left: int | None
    hits: int = 0

    def matches(self, kind: str, prompt: str) -> bool:
        """Whether the fault applies to this call."""
        if self.left == 0 or not fnmatchcase(kind, self.kind):
            return False
        return self.prompt is None or self.prompt in prompt


class FaultRules:
    """The fault rules in the order in which they were added. The first rule that matches a call applies."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._rules: list[FaultRule] = []

    def add(self, request: FaultRequest) -> FaultRule:
        """Append a rule."""
        rule = FaultRule(
            id=next(self._ids), kind=request.kind, fault=request.fault, prompt=request.prompt, left=request.times
        )
        self._rules.append(rule)
        return rule

    def next_for(self, kind: str, prompt: str) -> Fault | None:
        """The fault for this call, or None. Reduces `left` of its rule by one."""
        rule = next((rule for rule in self._rules if rule.matches(kind, prompt)), None)
        if rule is None:
            return None
        rule.hits += 1
        if rule.left is not None:
            rule.left -= 1
        return rule.fault

    def all(self) -> list[FaultRule]:
        """All rules, including those that are used up."""
        return list(self._rules)

    def delete(self, rule_id: int) -> bool:
        """Delete one rule. Returns False if there is no such rule."""
        kept = [rule for rule in self._rules if rule.id != rule_id]
        found = len(kept) < len(self._rules)
        self._rules = kept
        return found

    def clear(self) -> None:
        """Delete all rules."""
        self._rules = []
