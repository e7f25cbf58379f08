"""The plan of a run, computed from a seed: the tasks that the client creates, and the faults that are injected."""

import random
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import cycle
from typing import Any, Final

from msgspec import Struct

from simulator.faults import (
    Backwards,
    BrokenGzip,
    CutAfter,
    CutBefore,
    Error,
    Expired,
    FailGeneration,
    Fault,
    FaultRequest,
    Garbage,
    Hang,
    Huge,
    NeverEnds,
    Result403,
    Truncated,
    UnknownStatus,
)


class FaultType(StrEnum):
    """Kinds of faults."""

    KILL_WORKER = "kill worker"
    KILL_API = "kill api"
    KILL_VALKEY = "kill valkey"
    EMPTY_VALKEY = "kill valkey, start it empty"
    FLUSH = "flush valkey"
    STOP_MONGO = "stop mongo"
    KILL_MONGO = "kill mongo"
    FREEZE_WORKER = "freeze worker"
    FREEZE_VALKEY = "freeze valkey"
    FREEZE_MONGO = "freeze mongo"
    VENDOR = "vendor fault"


OUTLASTS_A_LEASE_S: Final = 3.0
"""Added to a worker's freeze: it resumes after its leases expired and others took its tasks, and must not write."""


class PlannedFault(Struct, frozen=True, kw_only=True):
    """
    One fault to inject.

    Attributes:
        at_s: When, in seconds from the start of the load.
        type: What is done.
        target: The process, by its name in the stack; empty for a vendor fault.
        outage_s: How long the process is down or frozen, in seconds.
        vendor_fault: The fault of the simulated vendor.
    """

    at_s: float
    type: FaultType
    target: str = ""
    outage_s: float = 0.0
    vendor_fault: FaultRequest | None = None


class FollowUp(StrEnum):
    """What the client does with a task after the create."""

    NOTHING = "nothing"
    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"


class PlannedTask(Struct, frozen=True, kw_only=True):
    """
    One task that the client creates.

    Attributes:
        number: Counts from 0; part of the prompt.
        at_s: When, in seconds from the start of the load.
        type: image, video or text.
        body: The request body.
        follow_up: What the client does with the task later; a retry waits until the task has failed.
        after_s: Time between the create and the follow-up, in seconds.
    """

    number: int
    at_s: float
    type: str
    body: dict[str, Any]
    follow_up: FollowUp
    after_s: float

    @property
    def prompt(self) -> str:
        """Unique within the run."""
        return str(self.body["prompt"])


class Model(Struct, frozen=True, kw_only=True):
    """A model that tasks are created for, with params for small images, and its fallback."""

    type: str
    provider: str
    name: str
    params: dict[str, Any] = {}
    fallback: dict[str, Any] | None = None


_FALLBACK_IMAGE: Final = {"provider": "openai", "model": "dall-e-3", "params": {"size": None, "use_sr": None}}
_FALLBACK_VIDEO: Final = {"provider": "volcengine", "model": "jimeng_vgfm_t2v_l20"}
_FALLBACK_TEXT: Final = {"provider": "volcengine", "model": "doubao-pro-4k"}

MODELS: Final[Sequence[Model]] = (
    Model(type="image", provider="volcengine", name="doubao-seedream-3-0-t2i-250415", params={"size": "1512x648"}),
    Model(
        type="image",
        provider="volcengine",
        name="jimeng_high_aes_general_v21_L",
        params={"size": "512x384", "use_sr": False},
        fallback=_FALLBACK_IMAGE,
    ),
    Model(
        type="image", provider="volcengine", name="jimeng_t2i_v30", params={"size": "512x512"}, fallback=_FALLBACK_IMAGE
    ),
    Model(type="image", provider="openai", name="dall-e-3"),
    Model(type="video", provider="volcengine", name="jimeng_vgfm_t2v_l20"),
    Model(type="video", provider="volcengine", name="doubao-seedance-1-0-pro-250528"),
    Model(type="video", provider="openai", name="sora", fallback=_FALLBACK_VIDEO),
    Model(type="text", provider="volcengine", name="doubao-pro-4k"),
    Model(type="text", provider="openai", name="gpt-4", fallback=_FALLBACK_TEXT),
)

_SUBMITS: Final = ("visual.submit", "visual.process", "ark.images", "ark.video.submit", "ark.chat")
_SUBMITS_OPENAI: Final = ("openai.images", "openai.video.submit", "openai.chat")
_POLLS: Final = ("visual.query", "ark.video.query", "openai.video.query")


def planned_tasks(*, seed: int, seconds: float, rate: float, deadline_s: tuple[float, float]) -> Sequence[PlannedTask]:
    """
    The tasks of a run: `rate` a second, evenly spaced, of all types.

    Args:
        deadline_s: Shortest and longest `deadline_s` of a task, in seconds.
    """
    random_source = random.Random(f"orders {seed}")  # another word would give another plan for the same seed
    return [
        _planned_task(random_source, number, number / rate, seed, deadline_s) for number in range(round(seconds * rate))
    ]


def _planned_task(
    random_source: random.Random, number: int, at_s: float, seed: int, deadline_s: tuple[float, float]
) -> PlannedTask:
    model = random_source.choice(MODELS)
    body: dict[str, Any] = {
        "prompt": f"chaos {seed} task {number:06d} end",
        "user_id": f"user-{number % 5}",
        "provider": model.provider,
        "model": model.name,
        "deadline_s": round(random_source.uniform(*deadline_s), 1),
        **model.params,
    }
    if random_source.random() < 0.4:
        body["priority"] = random_source.choice(("critical", "low"))
    if model.fallback is not None and random_source.random() < 0.6:
        unknown = {name: None for name in model.fallback.get("params", {}) if name in model.params}
        body["fallbacks"] = [{**model.fallback, "params": unknown}]
    follow_up = random_source.choices(tuple(FollowUp), weights=(70, 10, 12, 8))[0]
    return PlannedTask(
        number=number,
        at_s=at_s,
        type=model.type,
        body=body,
        follow_up=follow_up,
        after_s=random_source.uniform(0.0, 3.0),
    )


def planned_faults(
    *, seed: int, seconds: float, workers: Sequence[str], interval_s: float, longest_outage_s: float
) -> Sequence[PlannedFault]:
    """
    The faults of a run, sorted by time: rounds of all process faults in random order, and vendor faults throughout.

    Args:
        workers: Names of the workers.
        interval_s: Mean time between two process faults, in seconds.
        longest_outage_s: Longest outage of a process, in seconds.
    """
    random_source = random.Random(f"blows {seed}")  # another word would give another plan for the same seed
    found = [
        *_process_faults(random_source, seconds, workers, interval_s, longest_outage_s),
        *_timed_vendor_faults(random_source, seconds),
    ]
    return sorted(found, key=lambda fault: fault.at_s)


def _process_faults(
    random_source: random.Random, seconds: float, workers: Sequence[str], interval_s: float, longest_outage_s: float
) -> Iterator[PlannedFault]:
    types: list[FaultType] = []
    next_worker = cycle(random_source.sample(workers, len(workers)))
    at_s = random_source.uniform(0.2, 0.6) * interval_s
    while at_s < seconds:
        if not types:
            types = [*_TARGETS, FaultType.KILL_WORKER, FaultType.KILL_WORKER, FaultType.FREEZE_WORKER]
            random_source.shuffle(types)
        fault_type = types.pop()
        target = _TARGETS.get(fault_type) or next(next_worker)
        extra_s = OUTLASTS_A_LEASE_S if fault_type is FaultType.FREEZE_WORKER else 0.0
        outage_s = random_source.uniform(0.1, longest_outage_s) + extra_s
        yield PlannedFault(at_s=at_s, type=fault_type, target=target, outage_s=outage_s)
        at_s += interval_s * random_source.uniform(0.6, 1.4)


_TARGETS: Final = {
    FaultType.KILL_API: "api",
    FaultType.KILL_VALKEY: "valkey",
    FaultType.EMPTY_VALKEY: "valkey",
    FaultType.FLUSH: "valkey",
    FaultType.STOP_MONGO: "mongo",
    FaultType.KILL_MONGO: "mongo",
    FaultType.FREEZE_VALKEY: "valkey",
    FaultType.FREEZE_MONGO: "mongo",
}


def _timed_vendor_faults(random_source: random.Random, seconds: float) -> Iterator[PlannedFault]:
    """Rounds of all vendor faults, each in random order."""
    faults: list[FaultRequest] = []
    at_s = 0.1
    while at_s < seconds:
        if not faults:
            faults = list(_vendor_faults(random_source))
            random_source.shuffle(faults)
        yield PlannedFault(at_s=at_s, type=FaultType.VENDOR, vendor_fault=faults.pop())
        at_s += random_source.uniform(0.1, 0.6)


def _vendor_faults(random_source: random.Random) -> Iterator[FaultRequest]:
    yield from _error_answers(random_source)
    yield from _broken_answers(random_source)
    for fault in _GENERATION_FAULTS:
        yield FaultRequest(
            kind=random_source.choice(("visual.submit", "ark.video.submit", "openai.video.submit")), fault=fault
        )
    yield FaultRequest(kind="visual.submit", fault=FailGeneration(code=50511), times=2)
    yield FaultRequest(kind="visual.process", fault=FailGeneration(code=50519), times=2)
    yield FaultRequest(kind="files", fault=Result403())
    yield FaultRequest(kind="files", fault=CutBefore(), times=2)
    yield FaultRequest(kind="files", fault=Truncated())


_GENERATION_FAULTS: Final[Sequence[Fault]] = (Expired(), UnknownStatus(), Backwards(), NeverEnds(), Result403())


def _error_answers(random_source: random.Random) -> Iterator[FaultRequest]:
    """Error responses to submits and polls."""
    for code in (50429, 50430, 50500, 50411, 50413, 50511):
        yield FaultRequest(kind="visual.*", fault=Error(code=code), times=random_source.randint(1, 3))
    for name, status in (("RateLimitExceeded", 429), ("ServerOverloaded", 429), ("InternalServiceError", 500)):
        fault = Error(code=name, status=status, retry_after_s=0.5 if status == 429 else None)
        yield FaultRequest(kind="ark.*", fault=fault, times=random_source.randint(1, 3))
    yield FaultRequest(kind="ark.*", fault=Error(code="InputTextSensitiveContentDetected", status=400))
    for name, status in (("rate_limit_exceeded", 429), ("server_error", 503), ("insufficient_quota", 429)):
        yield FaultRequest(kind="openai.*", fault=Error(code=name, status=status), times=random_source.randint(1, 3))


def _broken_answers(random_source: random.Random) -> Iterator[FaultRequest]:
    """Broken connections and damaged responses, of submits and polls."""
    faults: Sequence[Fault] = (
        CutBefore(),
        CutAfter(),
        Garbage(),
        BrokenGzip(),
        Truncated(),
        Truncated(clean=True),
        Hang(seconds=8.0),
        Hang(seconds=8.0, accepted=False),
        Huge(size_bytes=48 * 2**20),
    )
    for fault in faults:
        yield FaultRequest(kind=random_source.choice((*_SUBMITS, *_SUBMITS_OPENAI)), fault=fault)
        yield FaultRequest(kind=random_source.choice(_POLLS), fault=fault)
