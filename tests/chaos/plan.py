"""What a run of chaos does, worked out beforehand from a seed: the orders of the client, and the blows."""

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


class Act(StrEnum):
    """What a blow does."""

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
"""A frozen worker wakes up when others have taken its tasks over, and must not write."""


class Blow(Struct, frozen=True, kw_only=True):
    """
    One thing that goes wrong.

    Attributes:
        at_s: When, from the start of the load, in seconds.
        act: What is done.
        target: The process, by its name in the stack.
        lasts_s: How long the process stays away, in seconds.
        fault: What the vendor does wrong.
    """

    at_s: float
    act: Act
    target: str = ""
    lasts_s: float = 0.0
    fault: FaultRequest | None = None


class Then(StrEnum):
    """What the client does with a task after creating it."""

    NOTHING = "nothing"
    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"


class Order(Struct, frozen=True, kw_only=True):
    """
    One task that the client creates.

    Attributes:
        number: Counts from 0; part of the prompt.
        at_s: When, from the start of the load, in seconds.
        type: image, video or text.
        body: What is posted.
        then: What the client does with it later; a retry once it has failed.
        after_s: How much later, in seconds.
    """

    number: int
    at_s: float
    type: str
    body: dict[str, Any]
    then: Then
    after_s: float

    @property
    def prompt(self) -> str:
        """Unlike any other order's."""
        return str(self.body["prompt"])


class Model(Struct, frozen=True, kw_only=True):
    """Whom an order goes to, with small pictures, and who may take it instead."""

    type: str
    provider: str
    name: str
    params: dict[str, Any] = {}
    fallback: dict[str, Any] | None = None


_SPARE_IMAGE: Final = {"provider": "openai", "model": "dall-e-3", "params": {"size": None, "use_sr": None}}
_SPARE_VIDEO: Final = {"provider": "volcengine", "model": "jimeng_vgfm_t2v_l20"}
_SPARE_TEXT: Final = {"provider": "volcengine", "model": "doubao-pro-4k"}

MODELS: Final[Sequence[Model]] = (
    Model(type="image", provider="volcengine", name="doubao-seedream-3-0-t2i-250415", params={"size": "1512x648"}),
    Model(
        type="image",
        provider="volcengine",
        name="jimeng_high_aes_general_v21_L",
        params={"size": "512x384", "use_sr": False},
        fallback=_SPARE_IMAGE,
    ),
    Model(
        type="image", provider="volcengine", name="jimeng_t2i_v30", params={"size": "512x512"}, fallback=_SPARE_IMAGE
    ),
    Model(type="image", provider="openai", name="dall-e-3"),
    Model(type="video", provider="volcengine", name="jimeng_vgfm_t2v_l20"),
    Model(type="video", provider="volcengine", name="doubao-seedance-1-0-pro-250528"),
    Model(type="video", provider="openai", name="sora", fallback=_SPARE_VIDEO),
    Model(type="text", provider="volcengine", name="doubao-pro-4k"),
    Model(type="text", provider="openai", name="gpt-4", fallback=_SPARE_TEXT),
)

_SUBMITS: Final = ("visual.submit", "visual.process", "ark.images", "ark.video.submit", "ark.chat")
_SUBMITS_OPENAI: Final = ("openai.images", "openai.video.submit", "openai.chat")
_POLLS: Final = ("visual.query", "ark.video.query", "openai.video.query")


def orders(*, seed: int, seconds: float, rate: float, deadline_s: tuple[float, float]) -> Sequence[Order]:
    """
    What the client creates: `rate` tasks a second, evenly, of all types.

    Args:
        deadline_s: Each task's time, least and most, in seconds.
    """
    random_source = random.Random(f"orders {seed}")
    return [_order(random_source, number, number / rate, seed, deadline_s) for number in range(round(seconds * rate))]


def _order(random_source: random.Random, number: int, at_s: float, seed: int, deadline_s: tuple[float, float]) -> Order:
    model = random_source.choice(MODELS)
    body: dict[str, Any] = {
        "prompt": f"chaos {seed} order {number:06d} end",
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
    then = random_source.choices(tuple(Then), weights=(70, 10, 12, 8))[0]
    return Order(
        number=number, at_s=at_s, type=model.type, body=body, then=then, after_s=random_source.uniform(0.0, 3.0)
    )


def blows(*, seed: int, seconds: float, workers: Sequence[str], calm_s: float, longest_s: float) -> Sequence[Blow]:
    """
    What goes wrong, in order of time: each act in every round, in an order of its own, and vendor faults all along.

    Args:
        workers: Names of the workers.
        calm_s: Mean time between two blows to processes, in seconds.
        longest_s: How long a process stays away at most, in seconds.
    """
    random_source = random.Random(f"blows {seed}")
    found = [
        *_process_blows(random_source, seconds, workers, calm_s, longest_s),
        *_vendor_blows(random_source, seconds),
    ]
    return sorted(found, key=lambda blow: blow.at_s)


def _process_blows(
    random_source: random.Random, seconds: float, workers: Sequence[str], calm_s: float, longest_s: float
) -> Iterator[Blow]:
    acts: list[Act] = []
    turns = cycle(random_source.sample(workers, len(workers)))
    at_s = random_source.uniform(0.2, 0.6) * calm_s
    while at_s < seconds:
        if not acts:
            acts = [*_TARGETS, Act.KILL_WORKER, Act.KILL_WORKER, Act.FREEZE_WORKER]
            random_source.shuffle(acts)
        act = acts.pop()
        target = _TARGETS.get(act) or next(turns)
        more_s = OUTLASTS_A_LEASE_S if act is Act.FREEZE_WORKER else 0.0
        yield Blow(at_s=at_s, act=act, target=target, lasts_s=random_source.uniform(0.1, longest_s) + more_s)
        at_s += calm_s * random_source.uniform(0.6, 1.4)


_TARGETS: Final = {
    Act.KILL_API: "api",
    Act.KILL_VALKEY: "valkey",
    Act.EMPTY_VALKEY: "valkey",
    Act.FLUSH: "valkey",
    Act.STOP_MONGO: "mongo",
    Act.KILL_MONGO: "mongo",
    Act.FREEZE_VALKEY: "valkey",
    Act.FREEZE_MONGO: "mongo",
}


def _vendor_blows(random_source: random.Random, seconds: float) -> Iterator[Blow]:
    """Every kind of fault in each round."""
    faults: list[FaultRequest] = []
    at_s = 0.1
    while at_s < seconds:
        if not faults:
            faults = list(_vendor_faults(random_source))
            random_source.shuffle(faults)
        yield Blow(at_s=at_s, act=Act.VENDOR, fault=faults.pop())
        at_s += random_source.uniform(0.1, 0.6)


def _vendor_faults(random_source: random.Random) -> Iterator[FaultRequest]:
    yield from _refusals(random_source)
    yield from _breakdowns(random_source)
    for fault in _FATES:
        yield FaultRequest(
            kind=random_source.choice(("visual.submit", "ark.video.submit", "openai.video.submit")), fault=fault
        )
    yield FaultRequest(kind="visual.submit", fault=FailGeneration(code=50511), times=2)
    yield FaultRequest(kind="visual.process", fault=FailGeneration(code=50519), times=2)
    yield FaultRequest(kind="files", fault=Result403())
    yield FaultRequest(kind="files", fault=CutBefore(), times=2)
    yield FaultRequest(kind="files", fault=Truncated())


_FATES: Final[Sequence[Fault]] = (Expired(), UnknownStatus(), Backwards(), NeverEnds(), Result403())


def _refusals(random_source: random.Random) -> Iterator[FaultRequest]:
    """Answers with an error, of submits and of polls."""
    for code in (50429, 50430, 50500, 50411, 50413, 50511):
        yield FaultRequest(kind="visual.*", fault=Error(code=code), times=random_source.randint(1, 3))
    for name, status in (("RateLimitExceeded", 429), ("ServerOverloaded", 429), ("InternalServiceError", 500)):
        fault = Error(code=name, status=status, retry_after_s=0.5 if status == 429 else None)
        yield FaultRequest(kind="ark.*", fault=fault, times=random_source.randint(1, 3))
    yield FaultRequest(kind="ark.*", fault=Error(code="InputTextSensitiveContentDetected", status=400))
    for name, status in (("rate_limit_exceeded", 429), ("server_error", 503), ("insufficient_quota", 429)):
        yield FaultRequest(kind="openai.*", fault=Error(code=name, status=status), times=random_source.randint(1, 3))


def _breakdowns(random_source: random.Random) -> Iterator[FaultRequest]:
    """The connection or the answer breaks, of submits and of polls."""
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
