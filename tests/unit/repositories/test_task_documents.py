"""Documents of tasks: nothing is lost in BSON."""

from datetime import UTC
from typing import Any

import bson
from bson.codec_options import CodecOptions
from hypothesis import given
from msgspec import structs

from core.tasks import Result, Task, TaskSummary
from repositories.mongodb.task_documents import (
    SUMMARY,
    decode_input,
    document_of,
    encode_input,
    summary_of,
    task_of,
    update_of,
    without_cancellation_request,
)
from tests.contracts.tasks import a_full_task, a_task, json_objects, tasks

_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)


@given(tasks())
def test_any_task_survives_bson(task: Task) -> None:
    """A document, stored and read back, is the same task."""
    assert task_of(bson.decode(bson.encode(document_of(task)), codec_options=_OPTIONS)) == task


@given(json_objects())
def test_any_input_survives(task_input: dict[str, Any]) -> None:
    """An input, encoded and decoded, is the same input."""
    assert decode_input(encode_input(task_input)) == task_input


@given(tasks(), tasks())
def test_an_update_makes_any_version_of_any_other(old: Task, new: Task) -> None:
    """Setting and unsetting as it says makes the new document of the old one; what no save writes stays."""
    document = {**document_of(old), "input": b"{}", "future_field": 1}
    update = update_of(new)
    document.update(update["$set"])
    for name in update.get("$unset", {}):
        document.pop(name, None)

    assert document.pop("input") == b"{}"
    assert document.pop("future_field") == 1
    assert {**document, "_id": new.id} == document_of(
        structs.replace(new, cancel_requested=old.cancel_requested, idempotency=old.idempotency, replay=old.replay)
    )
    assert not set(update["$set"]) & set(update.get("$unset", {}))


@given(tasks())
def test_a_reopening_deletes_the_cancellation_request_and_changes_nothing_else(task: Task) -> None:
    """Its update is that of a save, which also unsets the cancellation request."""
    update, plain = without_cancellation_request(update_of(task)), update_of(task)

    assert update["$set"] == plain["$set"]
    assert set(update["$unset"]) == {*plain.get("$unset", {}), "cancel_requested"}


def test_a_field_of_a_newer_server_is_ignored() -> None:
    """Two versions may run side by side: an unknown field, at the top or inside, is no error."""
    task = a_full_task()
    document = document_of(task)
    document["colour"] = "red"
    document["attempts"][0]["account"] = "a-1"

    assert task_of(document) == task


def test_an_empty_field_is_not_stored() -> None:
    """What is None or empty is not in the document: partial indexes rely on it."""
    document = document_of(a_task(wake_at=None))

    assert not {"wake_at", "lease", "attempts", "results", "metadata", "failure"} & set(document)


def test_a_summary_reads_small_fields_only() -> None:
    """The projection names each field of a summary, no texts, no attempts, no input."""
    assert set(SUMMARY) == (
        {field.name for field in structs.fields(TaskSummary)} - {"id", "results"}
        | {f"results.{field.name}" for field in structs.fields(Result)} - {"results.text"}
    )


def test_a_summary_needs_no_more_than_its_projection() -> None:
    """A document of exactly the projected fields makes a summary."""
    document = {name: value for name, value in document_of(a_full_task()).items() if name in {"_id", *SUMMARY}}

    assert summary_of(document).id == document["_id"]
    assert summary_of(document).results == ()
