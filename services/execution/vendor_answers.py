"""Keeps what a vendor answered to a submit, for callers who speak that vendor's own API."""

from typing import Final

from msgspec import structs

from core.attempts import VendorAnswer
from core.result_store import ResultStore
from core.tasks import Task
from polyrelay import Answer
from services.execution.recorder import persistently

INLINE_BYTES: Final = 64 * 1024
"""A longer answer, such as one with pictures in it, is a file of the result store."""


class Answers:
    """
    Puts answers with the attempts that they belong to.

    Args:
        store: For long ones.
    """

    def __init__(self, store: ResultStore) -> None:
        self._store = store

    async def kept(self, task: Task, answer: object) -> Task:
        """
        The task with the vendor's answer at its latest attempt, to be recorded with whatever the answer meant.

        A long one is stored first, however long the store is away: what was paid for must not be lost. Only a relayed
        task keeps its answer.

        Args:
            task: It has an open attempt.
            answer: None where there was none; a plugin may have put anything here.
        """
        if task.relay is None or not isinstance(answer, Answer):
            return task
        kept = VendorAnswer(status=answer.status, media_type=answer.headers.get("content-type"), body=answer.body)
        if len(answer.body) > INLINE_BYTES:
            name = f"{task.id}/{task.attempt.number}/answer"
            await persistently(lambda: self._store.put(name, answer.body))
            kept = structs.replace(kept, body=None, file=name)
        return structs.replace(task, attempts=task.with_attempt(answer=kept))
