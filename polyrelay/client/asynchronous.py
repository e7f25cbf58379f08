"""The asynchronous client."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from polyrelay.client import calls
from polyrelay.client.answers import read_answer, refusal
from polyrelay.client.errors import ApiError, ClientError, NotReached, WaitTimeout
from polyrelay.client.views import (
    ModelView,
    ProviderList,
    TaskCancelled,
    TaskCreated,
    TaskPage,
    TaskRemoved,
    TaskRetried,
    TaskView,
)

T = TypeVar("T")


class AsyncClient:
    """
    `Client` for asyncio: the same methods, awaited.

    Only the reads of `wait`, and a create with an `idempotency_key`, are repeated automatically.

    Args:
        base_url: The server's URL.
        api_key: Sent as `Authorization: Bearer …`, to that server only.
        timeout_s: Longest wait for the next bytes of a response, in seconds.
        transport: Another httpx transport, for tests.

    Every method raises `ApiError` where the server answers with an error, and `NotReached` where no server answers.
    """

    def __init__(
        self,
        base_url: str = calls.DEFAULT_URL,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._http = httpx.AsyncClient(
            timeout=timeout_s,
            transport=transport,
            trust_env=calls.uses_proxies(self.base_url),
        )

    async def create(self, task_type: str, *, idempotency_key: str | None = None, **fields: Any) -> TaskCreated:
        """
        Create a task of that type: image, video or text.

        Args:
            task_type: "image", "video" or "text".
            idempotency_key: A key of your choice for this task. With it, a create whose request or response is lost is
                repeated, and within 24 hours you may repeat it yourself: there is one task. Without it, if this raises
                `NotReached` with `sent`, the task may exist: check before you create it again.
            fields: `provider`, `model`, `user_id` and the model's params; optionally `priority`, `fallbacks`,
                `deadline_s` and `metadata`.
        """
        call = calls.create(task_type, fields, idempotency_key)
        for pause_s in calls.repeats_s(idempotency_key):
            try:
                return await self._answer(call)
            except ClientError as error:
                if not calls.may_be_sent_again(error):
                    raise
            await asyncio.sleep(pause_s)
        return await self._answer(call)

    async def get(self, task_id: str) -> TaskView:
        """Read the task."""
        return await self._answer(calls.get(task_id))

    async def wait(
        self, task_id: str, timeout_s: float | None = None, on_change: Callable[[TaskView], None] | None = None
    ) -> TaskView:
        """
        Wait until the task has ended and return it, whatever its outcome.

        Args:
            task_id: The task's id.
            timeout_s: Longest wait, in seconds; None for no limit.
            on_change: Called with the task after the first read and after each read that shows a change.

        Raises:
            WaitTimeout: The task did not end in that time; it continues to run.
        """
        until = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
        seen: TaskView | None = None
        for pause_s in calls.pauses_s():
            task = await self._look(task_id, seen, until)
            if on_change is not None and task != seen:
                on_change(task)
            if task.final:
                return task
            if time.monotonic() >= until:
                raise WaitTimeout(task, timeout_s or 0.0)
            seen = task
            await asyncio.sleep(max(0.0, min(pause_s, until - time.monotonic())))
        raise AssertionError("pauses do not end")

    async def list(
        self,
        *,
        user_id: str | None = None,
        type: str | None = None,  # noqa: A002 - the API's word
        status: str | None = None,
        provider: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        after: str | None = None,
    ) -> TaskPage:
        """One page of tasks, newest first. With `after`, the page begins after the task of that id."""
        return await self._answer(
            calls.page(
                {
                    "user_id": user_id,
                    "type": type,
                    "status": status,
                    "provider": provider,
                    "limit": limit,
                    "offset": offset,
                    "after": after,
                }
            )
        )

    async def cancel(self, task_id: str) -> TaskCancelled:
        """
        Cancel a task. Repeating the call has no further effect.

        The server ends a task that was submitted a little later, and the vendor may still finish and bill it.

        Raises:
            ApiError: "not_possible" where the task has completed or failed, or its result is being stored.
        """
        return await self._answer(calls.cancel(task_id))

    async def retry(self, task_id: str) -> TaskRetried:
        """
        Run a failed task again. After an unknown outcome the vendor may bill it a second time.

        Raises:
            ApiError: "not_possible" where the task did not fail.
        """
        return await self._answer(calls.retry(task_id))

    async def delete(self, task_id: str) -> TaskRemoved:
        """Delete a task. An open task is cancelled first, and the vendor is asked to stop."""
        return await self._answer(calls.delete(task_id))

    async def models(self) -> Sequence[ModelView]:
        """The models of the server's catalogue."""
        return (await self._answer(calls.models())).models

    async def providers(self) -> ProviderList:
        """The server's providers, and the plugins that it could not load."""
        return await self._answer(calls.providers())

    async def download(self, link: str, path: Path) -> Path:
        """Save the file of a result's link. A `path` without a suffix gets one by the file's media type."""
        async with self._stream(link) as response:
            part = calls.PartialFile(path)
            try:
                async for chunk in response.aiter_bytes():
                    part.write(chunk)
                return part.keep(path if path.suffix else path.with_name(path.name + calls.suffix_of(response)))
            finally:
                part.drop()

    async def save(self, task: TaskView, folder: Path) -> Sequence[Path]:
        """Save every output of a completed task as `folder/<task id>-<n>.<suffix>`."""
        saved = [await self.download(link, folder / f"{task.task_id}-{n}") for n, link in enumerate(task.urls, 1)]
        for n, text in enumerate(task.texts, len(saved) + 1):
            saved.append(calls.write_text(text, folder / f"{task.task_id}-{n}.txt"))
        return saved

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _answer(self, call: calls.Call[T]) -> T:
        request = calls.request_of(call, self._http, self.base_url)
        request.headers.update(calls.headers_of(self._api_key))
        try:
            return read_answer(await self._http.send(request), call.answer)
        except httpx.TransportError as error:
            calls.not_reached(self.base_url, error)

    async def _look(self, task_id: str, seen: TaskView | None, until: float) -> TaskView:
        """Read the task. After the first successful read, a server that is unavailable only delays the next one."""
        until = min(until, time.monotonic() + calls.LONGEST_OUTAGE_S)
        for pause_s in calls.pauses_s():
            try:
                return await self.get(task_id)
            except (NotReached, ApiError) as error:
                if seen is None or not calls.may_pass(error) or time.monotonic() >= until:
                    raise
                await asyncio.sleep(max(0.0, min(pause_s, until - time.monotonic())))
        raise AssertionError("pauses do not end")

    @asynccontextmanager
    async def _stream(self, link: str) -> AsyncIterator[httpx.Response]:
        url = calls.download_url(self.base_url, link)
        headers = calls.download_headers(self.base_url, url, self._api_key)
        try:
            async with self._http.stream("GET", url, headers=headers, follow_redirects=True) as response:
                if not response.is_success:
                    await response.aread()
                    raise refusal(response)
                yield response
        except httpx.TransportError as error:
            calls.not_reached(url, error)
