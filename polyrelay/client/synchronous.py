"""The synchronous client."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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


class Client:
    """
    Calls the task API. No call is repeated by itself but the reads of `wait`, and a create that has an
    `idempotency_key`.

    Args:
        base_url: Where the server is.
        api_key: Sent as `Authorization: Bearer …`, to that server only.
        timeout_s: Longest silence while waiting for an answer, in seconds.
        transport: Another httpx transport, for tests.

    Raises: every method raises `ApiError` where the server refuses and `NotReached` where none answers.
    """

    def __init__(
        self,
        base_url: str = calls.DEFAULT_URL,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._http = httpx.Client(
            timeout=timeout_s,
            transport=transport,
            trust_env=calls.uses_proxies(self.base_url),
        )

    def create(self, task_type: str, *, idempotency_key: str | None = None, **fields: Any) -> TaskCreated:
        """
        Create a task of that type: image, video or text. Needs `provider`, `model`, `user_id` and the model's params.

        May have `priority`, `fallbacks`, `deadline_s` and `metadata`.

        Args:
            idempotency_key: Of your own, for this task: with it a create that fails on the way is repeated, and you may
                repeat it for 24 hours, and there is one task. Without it, look before you create again where this
                raises `NotReached` with `sent`: the task may exist.
        """
        call = calls.create(task_type, fields, idempotency_key)
        for pause_s in calls.repeats_s(idempotency_key):
            try:
                return self._answer(call)
            except ClientError as error:
                if not calls.may_be_sent_again(error):
                    raise
            time.sleep(pause_s)
        return self._answer(call)

    def get(self, task_id: str) -> TaskView:
        """The task as it stands."""
        return self._answer(calls.get(task_id))

    def wait(
        self, task_id: str, timeout_s: float | None = None, on_change: Callable[[TaskView], None] | None = None
    ) -> TaskView:
        """
        The task when it has ended, whatever its outcome.

        Args:
            timeout_s: Longest wait, in seconds; None for no limit.
            on_change: Called with the task at the first look and whenever it changed.

        Raises:
            WaitTimeout: It has not ended in that time; it goes on.
        """
        until = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
        seen: TaskView | None = None
        for pause_s in calls.pauses_s():
            task = self._look(task_id, seen, until)
            if on_change is not None and task != seen:
                on_change(task)
            if task.final:
                return task
            if time.monotonic() >= until:
                raise WaitTimeout(task, timeout_s or 0.0)
            seen = task
            time.sleep(max(0.0, min(pause_s, until - time.monotonic())))
        raise AssertionError("pauses do not end")

    def list(
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
        """One page of tasks, newest first. `after` continues behind the task of that id."""
        return self._answer(
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

    def cancel(self, task_id: str) -> TaskCancelled:
        """
        End a task before its time. Twice is the same as once.

        One that was submitted is ended by the server a little later, and the vendor may still finish and bill it.

        Raises:
            ApiError: "not_possible" where it has ended otherwise, or its result is being stored.
        """
        return self._answer(calls.cancel(task_id))

    def retry(self, task_id: str) -> TaskRetried:
        """
        Do a failed task once more. After an unknown outcome this may pay the vendor a second time.

        Raises:
            ApiError: "not_possible" where it did not fail.
        """
        return self._answer(calls.retry(task_id))

    def delete(self, task_id: str) -> TaskRemoved:
        """Remove a task; an open one is cancelled first, and its vendor asked to stop."""
        return self._answer(calls.delete(task_id))

    def models(self) -> Sequence[ModelView]:
        """The models that the server knows."""
        return self._answer(calls.models()).models

    def providers(self) -> ProviderList:
        """The providers that the server knows, and the plugins that it left out."""
        return self._answer(calls.providers())

    def download(self, link: str, path: Path) -> Path:
        """Save the file behind a link of a result; `path` gets an ending by its media type where it has none."""
        with self._stream(link) as response:
            part = calls.PartialFile(path)
            try:
                for chunk in response.iter_bytes():
                    part.write(chunk)
                return part.keep(path if path.suffix else path.with_name(path.name + calls.suffix_of(response)))
            finally:
                part.drop()

    def save(self, task: TaskView, folder: Path) -> Sequence[Path]:
        """Save every output of a completed task as `folder/<task id>-<n>.<ending>`."""
        saved = [self.download(link, folder / f"{task.task_id}-{n}") for n, link in enumerate(task.urls, 1)]
        for n, text in enumerate(task.texts, len(saved) + 1):
            saved.append(calls.write_text(text, folder / f"{task.task_id}-{n}.txt"))
        return saved

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _answer(self, call: calls.Call[T]) -> T:
        request = calls.request_of(call, self._http, self.base_url)
        request.headers.update(calls.headers_of(self._api_key))
        try:
            return read_answer(self._http.send(request), call.answer)
        except httpx.TransportError as error:
            calls.not_reached(self.base_url, error)

    def _look(self, task_id: str, seen: TaskView | None, until: float) -> TaskView:
        """`get`; once the task was seen, a server that is away for a while only delays."""
        until = min(until, time.monotonic() + calls.LONGEST_OUTAGE_S)
        for pause_s in calls.pauses_s():
            try:
                return self.get(task_id)
            except (NotReached, ApiError) as error:
                if seen is None or not calls.may_pass(error) or time.monotonic() >= until:
                    raise
                time.sleep(max(0.0, min(pause_s, until - time.monotonic())))
        raise AssertionError("pauses do not end")

    @contextmanager
    def _stream(self, link: str) -> Iterator[httpx.Response]:
        url = calls.download_url(self.base_url, link)
        headers = calls.download_headers(self.base_url, url, self._api_key)
        try:
            with self._http.stream("GET", url, headers=headers, follow_redirects=True) as response:
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                yield response
        except httpx.TransportError as error:
            calls.not_reached(url, error)
