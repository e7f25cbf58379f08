"""Claim loop: arq's worker, changed to claim many wakes in one round trip and to be notified instead of polling."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog
from arq.jobs import SerializationError, deserialize_job_raw
from arq.worker import Worker

from core.claims import Claim, ClaimEnding, Claims
from core.errors import QueueUnavailable
from worker.task_cancellation import cancelled

_GIVE_BACK_S: Final = 2.0

log = structlog.get_logger(__name__)


class ClaimingWorker(Worker):
    """
    Runs arq's jobs as arq does, and takes them from `Claims`.

    Each round ends the claims whose steps have ended and takes as many wakes as there are free slots, in one call.
    Between rounds it sleeps until a step ends, a notification arrives, or the next wake is due.
    """

    def __init__(self, claims: Claims, **options: Any) -> None:
        super().__init__(**options, poll_delay=0)
        self.claiming = asyncio.Lock()
        self._claims = claims
        self._held: dict[str, Claim] = {}
        self._ended: list[ClaimEnding] = []
        self._wakeup = asyncio.Event()
        self._listening: asyncio.Task[bool] | None = None
        self._sleep_s = 0.0
        self._has_free_slots = False
        self._hold_again = self.loop.time() + claims.lock_s / 3

    async def give_back(self) -> None:
        """End the claims whose steps have ended and notify other workers of due wakes; call it when no step runs."""
        with suppress(QueueUnavailable, TimeoutError):
            async with asyncio.timeout(_GIVE_BACK_S):
                await self._stop_listening()
                async with self.claiming:
                    await self._round()

    async def _poll_iteration(self) -> None:
        """As arq's: `main` calls it in a loop, and lets its errors out."""
        await self._sleep()
        async with self.claiming:
            await self._round()
        if self.loop.time() >= self._hold_again:
            await self._claims.hold(list(self._held.values()))
            self._hold_again = self.loop.time() + self._claims.lock_s / 3
        await self.heart_beat()

    async def _sleep(self) -> None:
        if self._has_free_slots:
            self._listen()
        if self._sleep_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._sleep_s):
                    await self._wakeup.wait()
        self._wakeup.clear()
        if self._listening is not None and self._listening.done():
            listening, self._listening = self._listening, None
            listening.result()

    def _listen(self) -> None:
        if self._listening is None:
            self._listening = asyncio.create_task(self._claims.notified())
            self._listening.add_done_callback(lambda _: self._wakeup.set())

    async def _stop_listening(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            await cancelled([listening])

    async def _round(self) -> None:
        """End what has ended, take wakes for the free slots, and start their steps."""
        wanted = self.max_jobs - len(self.tasks) if self.allow_pick_jobs else 0
        ended, self._ended = self._ended, []
        try:
            taken = await self._claims.take(wanted, ended=ended)
        except BaseException:
            self._ended = ended + self._ended
            raise
        if taken.claims and not self.allow_pick_jobs:  # the stop came during the round trip
            await self._claims.take(0, ended=[ClaimEnding(claim=claim, again_in_s=0.0) for claim in taken.claims])
        else:
            self._start(taken.claims)
        self._has_free_slots = len(taken.claims) < wanted
        next_in_s = self._claims.idle_s if taken.next_in_s is None else taken.next_in_s
        self._sleep_s = min(next_in_s, self._claims.idle_s) if self._has_free_slots else self._claims.idle_s

    def _start(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            if claim.id in self.tasks:  # its lock had expired while its step runs here; now it is locked again
                continue
            step = asyncio.create_task(self._run(claim))
            self.tasks[claim.id], self._held[claim.id] = step, claim
            step.add_done_callback(partial(self._on_end, claim))

    def _on_end(self, claim: Claim, step: "asyncio.Task[float | None]") -> None:
        del self.tasks[claim.id], self._held[claim.id]
        self._ended.append(ClaimEnding(claim=claim, again_in_s=0.0 if step.cancelled() else step.result()))
        self._wakeup.set()

    async def _run(self, claim: Claim) -> float | None:
        """Run arq's job; returns in how many seconds it must run again, or None if it is done."""
        again_in_s: float | None = None
        try:
            name, args, kwargs, _, _ = deserialize_job_raw(claim.job, deserializer=self.job_deserializer)
            again_in_s = await self.functions[name].coroutine({**self.ctx, "job_id": claim.id}, *args, **kwargs)
        except (SerializationError, KeyError):
            log.exception("wake_undecodable", wake=claim.id)
        except Exception:  # an exception of one job must not reach the others
            log.exception("wake_handling_failed", wake=claim.id)
        return again_in_s
