"""The rules of `core.audit.AuditLog`, for each adapter."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.audit import Action, AuditEnding, AuditLog, AuditQuery, AuditRow, Outcome
from core.random_ids import new_row_id

NOW = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
WITHIN_S = 10.0


def a_row(*, at: datetime = NOW, **fields: Any) -> AuditRow:
    """A row that was begun at that moment."""
    return AuditRow(**{"id": new_row_id(at), "at": at, "action": Action.TASK_CANCEL, **fields})


def a_full_row() -> AuditRow:
    """A row with something in each field."""
    return a_row(
        outcome=Outcome.REFUSED,
        error="not_possible",
        key_id="key-1",
        access_key="AK1",
        owner="owner-1",
        source="192.0.2.1",
        request_id="r-1",
        method="POST",
        path="/api/v1/ai/task/t/cancel",
        target="task-1",
        provider="volcengine",
        model="m",
        status=409,
        duration_ms=1.5,
        upstream_request_id="u-1",
        detail={"$ref": {"a.b": [None, 2**63, "é", 0.5]}, "": True},
    )


async def shown_when(
    audit: AuditLog, holds: Callable[[Sequence[AuditRow]], bool], query: AuditQuery | None = None
) -> Sequence[AuditRow]:
    """The rows, newest first, once the condition holds: ends and notes are written later."""
    until = time.monotonic() + WITHIN_S
    while not holds(rows := await audit.page(query or AuditQuery())):
        assert time.monotonic() < until, f"not within {WITHIN_S:g} s; the rows are {rows}"
        await asyncio.sleep(0.02)
    return rows


class AuditLogContract:
    """The rules of `core.audit.AuditLog`."""

    async def test_a_row_is_there_once_it_is_begun(self, audit: AuditLog) -> None:
        """With each of its fields; its outcome is `begun`."""
        full, plain = a_full_row(), a_row(at=NOW + timedelta(milliseconds=1))
        await audit.begin(full)
        await audit.begin(plain)

        assert list(await audit.page(AuditQuery())) == [plain, full]
        assert plain.outcome is Outcome.BEGUN

    async def test_an_end_says_what_became_of_it(self, audit: AuditLog) -> None:
        """It changes the fields that it names, and no other."""
        row = a_full_row()
        await audit.begin(row)
        audit.end(AuditEnding(id=row.id, outcome=Outcome.DONE, status=200, duration_ms=7.5))

        (ended,) = await shown_when(audit, lambda rows: rows[0].outcome is Outcome.DONE)
        assert (ended.status, ended.duration_ms, ended.error) == (200, 7.5, "not_possible")
        assert (ended.target, ended.detail, ended.at) == (row.target, row.detail, row.at)

    async def test_an_end_sets_every_field_that_it_has(self, audit: AuditLog) -> None:
        """Also one that the row had not."""
        row = a_row()
        await audit.begin(row)
        audit.end(
            AuditEnding(
                id=row.id,
                outcome=Outcome.FAILED,
                error="e",
                target="t",
                status=500,
                duration_ms=0.1,
                upstream_request_id="u",
            )
        )

        (ended,) = await shown_when(audit, lambda rows: rows[0].outcome is Outcome.FAILED)
        assert (ended.error, ended.target, ended.status, ended.upstream_request_id) == ("e", "t", 500, "u")

    async def test_the_end_of_a_row_that_is_gone_makes_none(self, audit: AuditLog) -> None:
        """A row that was deleted by its age, or never stored, does not come back as half a row."""
        audit.end(AuditEnding(id="audit_gone", outcome=Outcome.DONE))
        audit.note(noted := a_row())

        assert list(await shown_when(audit, bool)) == [noted]

    async def test_a_note_is_a_row(self, audit: AuditLog) -> None:
        """With its outcome; no caller waits for the write."""
        row = a_full_row()
        audit.note(row)

        assert list(await shown_when(audit, bool)) == [row]

    @pytest.mark.parametrize("field", ["action", "outcome", "owner", "key_id", "target", "provider", "request_id"])
    async def test_rows_are_found_by_each_field(self, audit: AuditLog, field: str) -> None:
        """A filter shows the rows that have that value, and no row that has another or none."""
        full = a_full_row()
        await audit.begin(full)
        others: dict[str, Any] = {field: "another", "action": Action.KEY_CREATE, "outcome": Outcome.DONE}
        await audit.begin(a_row(**{field: others[field]}))
        if field not in {"action", "outcome"}:
            await audit.begin(a_row())

        assert list(await audit.page(AuditQuery(**{field: getattr(full, field)}))) == [full]

    async def test_filters_hold_together(self, audit: AuditLog) -> None:
        """Of two filters, both hold."""
        rows = [a_row(target=target, owner=owner) for target in ("t1", "t2") for owner in ("o1", "o2")]
        for row in rows:
            await audit.begin(row)

        assert list(await audit.page(AuditQuery(target="t2", owner="o1"))) == [rows[2]]

    async def test_a_range_of_time_has_its_beginning_and_not_its_end(self, audit: AuditLog) -> None:
        """`since` is within, `until` is not."""
        rows = [a_row(at=NOW + timedelta(milliseconds=step)) for step in range(4)]
        for row in rows:
            await audit.begin(row)

        query = AuditQuery(since=rows[1].at, until=rows[3].at)
        assert list(await audit.page(query)) == [rows[2], rows[1]]

    async def test_pages_follow_each_other_without_a_gap(self, audit: AuditLog) -> None:
        """`after` goes on with the next older row, within the other filters."""
        rows = [a_row(at=NOW + timedelta(milliseconds=step)) for step in range(7)]
        for row in rows:
            await audit.begin(row)

        shown: list[AuditRow] = []
        query = AuditQuery(limit=2, until=rows[6].at)
        while page := await audit.page(query):
            shown += page
            query = AuditQuery(limit=2, until=rows[6].at, after=page[-1].id)
        assert shown == rows[5::-1]
