"""What the simulator received: counts, submits by prompt, the latest calls."""

from collections import Counter, OrderedDict, deque
from typing import Any

import msgspec

CALLS_KEPT = 1000
PROMPTS_KEPT = 100_000
BODY_KEPT = 4096


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """
    A vendor call whose credentials and params are good.

    Attributes:
        kind: `visual.submit`, `ark.images`, `openai.video.query`, …
        generates: The call starts a generation that the vendor would bill.
        body: Its params as they came, for `calls`.
    """

    kind: str
    prompt: str = ""
    model: str = ""
    generates: bool = False
    body: Any = None


class CallRecord(msgspec.Struct, kw_only=True):
    """
    One call in the list.

    Attributes:
        at: Unix time in seconds.
        accepted: The operation exists, or the result was made, whatever the client saw of it.
        fault: The type of the fault that hit it.
        body: The params; null when they are longer than 4 KiB.
    """

    at: float
    kind: str
    prompt: str
    model: str
    accepted: bool = False
    fault: str | None = None
    body: Any = None


class PromptCount(msgspec.Struct, kw_only=True):
    """How often a prompt was submitted: valid submits received, and those that were accepted (a bill each)."""

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
        """Note a valid call."""
        self.received[call.kind] += 1
        if call.generates:
            self._prompt(call.prompt).received += 1
        body = call.body if len(msgspec.json.encode(call.body)) <= BODY_KEPT else None
        record = CallRecord(at=at, kind=call.kind, prompt=call.prompt, model=call.model, fault=fault, body=body)
        self.calls.append(record)
        return record

    def accept(self, call: Call, record: CallRecord) -> None:
        """Note that the call took effect."""
        record.accepted = True
        self.accepted[call.kind] += 1
        if call.generates:
            self._prompt(call.prompt).accepted += 1

    def refuse(self, vendor: str, code: str) -> None:
        """Note an error answer, by vendor and code."""
        self.refused[f"{vendor}:{code}"] += 1

    def enter(self) -> None:
        """A call is being answered."""
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def leave(self) -> None:
        """It was answered."""
        self.in_flight -= 1

    def _prompt(self, prompt: str) -> PromptCount:
        count = self.prompts.setdefault(prompt, PromptCount())
        if len(self.prompts) > PROMPTS_KEPT:
            self.prompts.popitem(last=False)
        return count
