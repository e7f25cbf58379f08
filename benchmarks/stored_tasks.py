"""Stores any number of realistic tasks with the server's own document code; the same tasks each time."""

import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from core.attempts import Attempt, Failure
from core.task_states import State
from core.tasks import Result, Task
from polyrelay import TaskType, Usage
from repositories.mongodb.task_documents import Document, document_of, encode_input

BUSY_USER: Final = "user-0"
"""Owner of every fifth task; a thousand others share the rest."""

_BATCH: Final = 1000
_FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
_STATES: Final = {
    State.COMPLETED: 900,
    State.FAILED: 70,
    State.CANCELLED: 20,
    State.WAITING: 6,
    State.PENDING: 4,
}
_MODELS: Final = (
    (TaskType.IMAGE, "volcengine", "jimeng_t2i_v40"),
    (TaskType.IMAGE, "openai", "gpt-image-1"),
    (TaskType.VIDEO, "volcengine", "doubao-seedance-1-0-pro"),
    (TaskType.TEXT, "openai", "gpt-4o-mini"),
)
_PROMPT: Final = (
    "a lighthouse on a cliff above a calm sea at dusk, seen from the water; warm light in the windows, long exposure, "
    "soft clouds, the moon behind them, number "
)


def load(url: str, count: int, *, on_progress: Callable[[int], None]) -> None:
    """Store `count` tasks in the collection `tasks` of that database; `on_progress` gets the number stored so far."""
    with MongoClient[Document](url) as client:
        tasks = client.get_default_database().get_collection("tasks", write_concern=WriteConcern(w=1))
        documents = map(_stored, made(count))
        done = 0
        while batch := list(islice(documents, _BATCH)):
            tasks.insert_many(batch, ordered=False)
            done += len(batch)
            on_progress(done)


def made(count: int, *, seed: int = 1) -> Iterator[Task]:
    """That number of tasks, one per second, oldest first."""
    random_source = random.Random(seed)
    states = random_source.choices(list(_STATES), weights=list(_STATES.values()), k=count)
    for number, state in enumerate(states):
        yield _task(number, state, random_source)


def _task(number: int, state: State, random_source: random.Random) -> Task:
    created = _FIRST + timedelta(seconds=number)
    task_type, provider, model = random_source.choice(_MODELS)
    return Task(
        id=f"task_{int(created.timestamp() * 1000):012x}{random_source.getrandbits(80):020x}",
        version=1 if state is State.PENDING else 4,
        type=task_type,
        state=state,
        provider=provider,
        model=model,
        user_id=BUSY_USER if random_source.random() < 0.2 else f"user-{random_source.randrange(1, 1001)}",
        prompt=f"{_PROMPT}{number}",
        metadata={"order": f"order-{number}", "channel": "web"},
        created=created,
        updated=created + timedelta(seconds=9),
        deadline=created + timedelta(minutes=10),
        wake_at=None if state.final else created + timedelta(days=3650),
        **_outcome(state, task_type, provider, model, created),
    )


def _outcome(state: State, task_type: TaskType, provider: str, model: str, created: datetime) -> Mapping[str, Any]:
    if state is State.PENDING:
        return {}
    failure = Failure(code="provider_unavailable", message="vendor unavailable") if state is State.FAILED else None
    attempt = Attempt(
        number=1,
        provider=provider,
        model=model,
        started=created + timedelta(seconds=1),
        accepted=created + timedelta(seconds=2),
        ended=created + timedelta(seconds=9) if state.final else None,
        operation=f"operation-{created.timestamp():.0f}",
        failure=failure,
    )
    results = (_result(task_type, created),) if state is State.COMPLETED else ()
    return {"attempts": (attempt,), "results": results, "failure": failure, "usage": Usage(images=len(results))}


def _result(task_type: TaskType, created: datetime) -> Result:
    if task_type is TaskType.TEXT:
        return Result(type=task_type, text="The light turns once in ten seconds. " * 20, finish_reason="stop")
    name = f"{created:%Y%m%d}/{created.timestamp():.0f}/0"
    return Result(type=task_type, file=name, url=f"https://vendor.example/{name}", size_bytes=123_456)


def _stored(task: Task) -> Document:
    return {**document_of(task), "input": encode_input({"prompt": task.prompt, "size": "1024x1024"})}
