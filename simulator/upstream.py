"""Upstream: the state of one simulator, and the handling that all vendor calls share."""

import asyncio
import gzip
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import msgspec

from simulator.answers import Answer, Reply
from simulator.connections import HttpRequest, cut, hang
from simulator.drawing import Recipe, Renderer
from simulator.errors import ArkError, GatewayError, OpenAIError, VendorError, VisualError
from simulator.faults import (
    BrokenGzip,
    CutAfter,
    CutBefore,
    Error,
    FailGeneration,
    Fault,
    FaultRules,
    Garbage,
    Hang,
    Huge,
    NeverEnds,
    Result403,
    Truncated,
)
from simulator.ledger import Call, Ledger
from simulator.operations import Operations
from simulator.result_files import ResultFiles
from simulator.settings import Media, Settings

Act = Callable[[Fault | None], Awaitable[Answer]]


class Upstream:
    """
    The state of one simulator.

    Attributes:
        clock: Returns Unix time in seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.clock = clock
        self.renderer = Renderer(settings.drawing_threads)
        self.reset()

    def reset(self) -> None:
        """Delete operations, counts, faults and changed latencies. Drawings stay cached."""
        self.latencies = self.settings.latencies
        self.faults = FaultRules()
        self.ledger = Ledger()
        self.operations = Operations(self.clock)
        self.files = ResultFiles()

    async def perform(self, request: HttpRequest, call: Call, act: Act) -> Reply:
        """
        Answer one valid call: count it, apply its fault, and call `act`.

        `act` starts or looks up the operation. It gets the fault, because some faults affect the generation.
        """
        ledger = self.ledger
        fault = self.faults.next_for(call.kind, call.prompt)
        record = ledger.receive(
            call, at=self.clock(), fault=None if fault is None else str(fault.__struct_config__.tag)
        )
        ledger.enter()
        try:
            await _before(request, call, fault)
            ledger.accept(call, record)
            answer = await act(fault)
            if self.latencies.call_s:
                await asyncio.sleep(self.latencies.call_s)
            return (await _after(request, fault, answer)).reply()
        finally:
            ledger.leave()

    async def generate(
        self, request: HttpRequest, kind: str, media: Media, fault: Fault | None, *, share: float = 1.0
    ) -> None:
        """
        Wait for the time of a generation whose result is in the answer, or for a share of it.

        Raises:
            VendorError: The fault lets the generation fail.
        """
        if isinstance(fault, NeverEnds):
            await hang(request, None)
        await asyncio.sleep(self.latencies.of(kind, media) * share)
        if isinstance(fault, FailGeneration) and fault.picture is None:
            raise failure(kind, fault)

    def link(self, request: HttpRequest, recipe: Recipe, *, prompt: str, fault: Fault | None = None) -> str:
        """An absolute link to a result file, on the host that the client called."""
        name = self.files.issue(recipe, prompt=prompt, forbidden=isinstance(fault, Result403))
        return f"{request.url.scheme}://{request.headers['host']}/files/{name}"


def upstream_of(request: HttpRequest) -> Upstream:
    """The simulator that serves this request."""
    return cast("Upstream", request.app.state.upstream)


def failure(kind: str, fault: Error | FailGeneration) -> VendorError:
    """The error of a fault, in the envelope of the vendor that was called."""
    retry_after_s = fault.retry_after_s if isinstance(fault, Error) else None
    message = fault.message
    if kind.startswith("visual"):
        if isinstance(fault.code, int):
            return VisualError(fault.code, message, status=fault.status, retry_after_s=retry_after_s)
        return GatewayError(fault.code, message, status=fault.status, retry_after_s=retry_after_s)
    code, status = str(fault.code), fault.status or 400
    message = message or f"simulated {code}"
    if kind.startswith("ark"):
        return ArkError(status, code, message, retry_after_s=retry_after_s)
    return OpenAIError(status, message, code=code, retry_after_s=retry_after_s)


async def _before(request: HttpRequest, call: Call, fault: Fault | None) -> None:
    match fault:
        case Error():
            raise failure(call.kind, fault)
        case CutBefore():
            cut(request)
        case Hang(accepted=False):
            await hang(request, fault.seconds)


async def _after(request: HttpRequest, fault: Fault | None, answer: Answer) -> Answer:
    match fault:
        case CutAfter():
            cut(request)
        case Hang(accepted=True):
            await hang(request, fault.seconds)
        case Garbage():
            return msgspec.structs.replace(answer, body=b'<html>\xff\xfe{"code": 10000, ' + random.randbytes(64))
        case BrokenGzip():
            headers = answer.headers | {"content-encoding": "gzip"}
            return msgspec.structs.replace(answer, body=_broken_gzip(), headers=headers)
        case Huge():
            return msgspec.structs.replace(answer, body=_huge_body(fault.size_bytes))
        case Truncated():
            return _truncated(request, answer, clean=fault.clean)
    return answer


def _broken_gzip() -> bytes:
    good = gzip.compress(random.randbytes(2048))
    return good[:1024] + bytes(len(good) - 1024)


async def _huge_body(size_bytes: int) -> AsyncIterator[bytes]:
    block = b" " * 65536
    for start in range(0, size_bytes, len(block)):
        yield block[: size_bytes - start]
        await asyncio.sleep(0)


def _truncated(request: HttpRequest, answer: Answer, *, clean: bool) -> Answer:
    if not isinstance(answer.body, bytes):
        return msgspec.structs.replace(answer, body=_first_events(request, answer.body, clean=clean))
    half = answer.body[: len(answer.body) // 2]
    if clean:
        return msgspec.structs.replace(answer, body=half)
    headers = answer.headers | {"content-length": str(len(answer.body))}
    return msgspec.structs.replace(answer, body=_then_cut(request, half), headers=headers)


async def _then_cut(request: HttpRequest, half: bytes) -> AsyncIterator[bytes]:
    yield half
    await asyncio.sleep(0.02)  # so that the bytes are sent before the connection is closed
    cut(request)


async def _first_events(request: HttpRequest, events: AsyncIterator[bytes], *, clean: bool) -> AsyncIterator[bytes]:
    sent = 0
    async for piece in events:
        if sent == 2:
            break
        yield piece
        sent += 1
    if not clean:
        await asyncio.sleep(0.02)
        cut(request)
