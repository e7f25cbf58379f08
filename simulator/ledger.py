"""Ledger of received calls: counts, submits by prompt, and the latest calls."""

from collections import Counter, OrderedDict, deque
from typing import Any

import msgspec

CALLS_KEPT = 1000
PROMPTS_KEPT = 100_000
BODY_KEPT = 4096


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """
    A vendor call with valid credentials and params.

    Attributes:
        kind: `visual.submit`, `ark.images`, `openai.video.query`, …
        generates: Whether the call starts a generation that the vendor would bill.
        body: Its params, unchanged, for the list of calls.
    """

    kind: str
    prompt: str = ""
    model: str = ""
    generates: bool = False
    body: Any = None


class CallRecord(msgspec.Struct, kw_only=True):
    """
    One call in the list of calls.

    Attributes:
        at: Unix time in seconds.
        accepted: Whether the operation exists or the result was made, even if the client got no answer.
        fault: Type of the fault that was applied to it.
        body: The params; null if they are longer than 4 KiB.
    """

    at: float
    kind: str
    prompt: str
    model: str
    accepted: bool = False
    fault: str | None = None
    body: Any = None


class PromptCount(msgspec.Struct, kw_only=True):
    """Number of submits with a prompt: valid ones that were received, and accepted ones, each of which is billed."""

    received: int = 0
    accepted: int = 0


class Ledger:
    """Counts since the start or the last reset."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.prompts: OrderedDict[str, PromptCount] = OrderedDict()
        self.calls: deque[CallRecord] = deque(maxlen=CALLS_KEPT)
        self.in_flight = 0
        self.max_in_flight = 0

    def receive(self, call: Call, *, at: float, fault: str | None) -> CallRecord:
        """Count a valid call and add it to the list."""
        self.received[call.kind] += 1
        if call.generates:
            self._prompt(call.prompt).received += 1
        body = call.body if len(msgspec.json.encode(call.body)) <= BODY_KEPT else None
        record = CallRecord(at=at, kind=call.kind, prompt=call.prompt, model=call.model, fault=fault, body=body)
        self.calls.append(record)
        return record

    def accept(self, call: Call, record: CallRecord) -> None:
        """Count a call that took effect."""
        record.accepted = True
        self.accepted[call.kind] += 1
        if call.generates:
            self._prompt(call.prompt).accepted += 1

    def refuse(self, vendor: str, code: str) -> None:
        """Count an error answer, by vendor and code."""
        self.refused[f"{vendor}:{code}"] += 1

    def enter(self) -> None:
        """Count the start of an answer."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def leave(self) -> None:
        """Count the end of an answer."""
        self.in_flight -= 1

    def _prompt(self, prompt: str) -> PromptCount:
        count = self.prompts.setdefault(prompt, PromptCount())
        if len(self.prompts) > PROMPTS_KEPT:
            self.prompts.popitem(last=False)
        return count
