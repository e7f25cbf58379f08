"""Tasks to store: plain ones with a default for each field, and any ones for property tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from core.attempts import Attempt, Failure, VendorAnswer
from core.priorities import Priority
from core.random_ids import new_task_id
from core.task_states import State
from core.tasks import Choice, Idempotency, Lease, RelayCall, Result, Task
from polyrelay import TaskType, Usage

NOW = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)


def a_task(*, created: datetime = NOW, **fields: Any) -> Task:
    """A pending image task that is due at once."""
    defaults: dict[str, Any] = {
        "id": new_task_id(created),
        "type": TaskType.IMAGE,
        "provider": "volcengine",
        "model": "jimeng_t2i_v40",
        "user_id": "user-1",
        "created": created,
        "updated": created,
        "deadline": created + timedelta(minutes=10),
        "wake_at": created,
    }
    return Task(**{**defaults, **fields})


def a_full_task() -> Task:
    """A task with something in each field but those that no save writes."""
    failure = Failure(code="overloaded", message="too many", vendor_code="50430", http_status=429, request_id="r-1")
    attempt = Attempt(
        number=1,
        provider="volcengine",
        model="jimeng_t2i_v40",
        started=NOW,
        accepted=NOW,
        ended=NOW,
        operation="op-1",
        poll_failures=2,
        failure=failure,
        answer=VendorAnswer(status=429, media_type="application/json", body=b"\x00{}", file="t/1/answer"),
    )
    return a_task(
        state=State.STORING,
        owner="owner-1",
        key_id="key-1",
        key_max_concurrent=2,
        quotas=("open:provider:volcengine", "waiting:key:owner-1"),
        relay=RelayCall(action="CVSubmitTask", version="2022-08-31"),
        fallbacks=(
            Choice(provider="openai", model="dall-e-3", params={"size": None, "big": 2**70, "$ref": {"a.b": [1]}}),
            Choice(provider="openai", model="gpt-image-1"),
        ),
        choice=1,
        priority=Priority.CRITICAL,
        attempts_before=1,
        retried=NOW,
        prompt="一只猫",
        metadata={"order": 7, "tags": ["a", None], "nested": {"$ref": "x", "a.b": 1.5}},
        lease=Lease(owner="worker-1", until=NOW + timedelta(seconds=30)),
        attempts=(attempt, Attempt(number=2, provider="openai", model="dall-e-3", started=NOW)),
        results=(
            Result(type=TaskType.TEXT, text="long text", finish_reason="stop"),
            Result(
                type=TaskType.IMAGE, file="t/1/0.png", url="http://x/0.png", url_expires=NOW, media_type="image/png"
            ),
        ),
        usage=Usage(input_tokens=1, output_tokens=2, total_tokens=3, images=1, seconds=1.5),
        progress=0.5,
        failure=failure,
    )


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_numbers = st.integers(min_value=-(2**63), max_value=2**63 - 1)
_floats = st.floats(allow_nan=False, allow_infinity=False)
_moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
_types = st.sampled_from(TaskType)


def json_objects() -> st.SearchStrategy[dict[str, Any]]:
    """Any JSON object, with numbers of any size and keys of any letters."""
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | _floats | _texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
        max_leaves=8,
    )
    return st.dictionaries(_texts | st.sampled_from(["$ref", "$id", "a.b", "_id", "\0"]), values, max_size=4)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def failures() -> st.SearchStrategy[Failure]:
    """Any failure."""
    return st.builds(
        Failure,
        code=_texts,
        message=_texts,
        vendor_code=_maybe(_texts),
        http_status=_maybe(_numbers),
        request_id=_maybe(_texts),
    )


def choices() -> st.SearchStrategy[Choice]:
    """Any choice."""
    return st.builds(Choice, provider=_texts, model=_texts, params=json_objects())


def attempts() -> st.SearchStrategy[Attempt]:
    """Any attempt."""
    return st.builds(
        Attempt,
        number=_numbers,
        provider=_texts,
        model=_texts,
        started=_moments,
        accepted=_maybe(_moments),
        ended=_maybe(_moments),
        operation=_maybe(_texts),
        poll_failures=_numbers,
        failure=_maybe(failures()),
        answer=_maybe(
            st.builds(VendorAnswer, status=_numbers, body=_maybe(st.binary(max_size=40)), file=_maybe(_texts))
        ),
    )


def results() -> st.SearchStrategy[Result]:
    """Any result."""
    return st.builds(
        Result,
        type=_types,
        text=_maybe(_texts),
        finish_reason=_maybe(_texts),
        file=_maybe(_texts),
        url=_maybe(_texts),
        url_expires=_maybe(_moments),
        media_type=_maybe(_texts),
        size_bytes=_maybe(_numbers),
    )


def tasks() -> st.SearchStrategy[Task]:
    """Any task."""
    return st.builds(
        Task,
        id=_texts,
        version=_numbers,
        type=_types,
        state=st.sampled_from(State),
        provider=_texts,
        model=_texts,
        user_id=_texts,
        owner=_maybe(_texts),
        key_id=_maybe(_texts),
        key_max_concurrent=_maybe(_numbers),
        quotas=st.lists(_texts, max_size=2).map(tuple),
        idempotency=_maybe(st.builds(Idempotency, key=_texts, body_hash=_texts, until=_moments)),
        replay=_maybe(_texts),
        relay=_maybe(st.builds(RelayCall, action=_texts, version=_texts)),
        fallbacks=st.lists(choices(), max_size=3).map(tuple),
        choice=_numbers,
        priority=st.sampled_from(Priority),
        attempts_before=_numbers,
        retried=_maybe(_moments),
        cancel_requested=_maybe(_moments),
        prompt=_maybe(_texts),
        metadata=json_objects(),
        created=_moments,
        updated=_moments,
        deadline=_moments,
        wake_at=_maybe(_moments),
        lease=_maybe(st.builds(Lease, owner=_texts, until=_moments)),
        attempts=st.lists(attempts(), max_size=3).map(tuple),
        results=st.lists(results(), max_size=3).map(tuple),
        usage=_maybe(st.builds(Usage, input_tokens=_maybe(_numbers), seconds=_maybe(_floats))),
        progress=_maybe(_floats),
        failure=_maybe(failures()),
    )
