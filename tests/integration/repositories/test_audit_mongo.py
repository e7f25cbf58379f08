"""`MongoAuditLog` on a real MongoDB."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from cli.embedded.ports import free_port
from cli.embedded.servers import MongoServer
from core.audit import Action, AuditEnding, AuditQuery, Outcome
from core.errors import AuditFailed, StoreUnavailable
from repositories.mongodb.audit import AUDIT_COLLECTION, MongoAuditLog
from repositories.mongodb.client import Database, connect_mongo
from tests.contracts.audit_log import NOW, AuditLogContract, a_row, shown_when
from tests.servers import running


@pytest.fixture
async def audit(database: Database) -> AsyncIterator[MongoAuditLog]:
    """No rows."""
    audit = MongoAuditLog(database)
    await audit.prepare()
    yield audit
    await audit.aclose()


class TestMongoAuditLog(AuditLogContract):
    """`MongoAuditLog` keeps the contract."""


async def kept_s(database: Database) -> int:
    """How long the database keeps rows, in seconds."""
    indexes = await database[AUDIT_COLLECTION].index_information()
    return int(indexes["rows_by_age"]["expireAfterSeconds"])


async def test_rows_are_kept_for_as_long_as_is_set(database: Database) -> None:
    """The database deletes them by age; a changed setting applies from the next start, also to old rows."""
    for days in (90, 7, 7):
        await MongoAuditLog(database, kept=timedelta(days=days)).prepare()
        assert await kept_s(database) == days * 24 * 3600


async def test_a_row_that_is_refused_is_reported(audit: MongoAuditLog, database: Database) -> None:
    """Whatever the reason: here a rule of the collection."""
    await database.command("collMod", AUDIT_COLLECTION, validator={"never": {"$exists": True}})

    with pytest.raises(AuditFailed):
        await audit.begin(a_row())


async def test_of_many_rows_at_once_each_is_taken_or_refused_alone(audit: MongoAuditLog, database: Database) -> None:
    """They share writes; a refused one does not affect the others."""
    await database.command("collMod", AUDIT_COLLECTION, validator={"target": {"$exists": True}})
    rows = [a_row(target=None if number % 3 else "t") for number in range(60)]

    outcomes = await asyncio.gather(*(audit.begin(row) for row in rows), return_exceptions=True)

    assert [isinstance(outcome, AuditFailed) for outcome in outcomes] == [row.target is None for row in rows]
    assert {row.id for row in await audit.page(AuditQuery())} == {row.id for row in rows if row.target}


async def test_a_refused_note_does_not_affect_the_others(audit: MongoAuditLog, database: Database) -> None:
    """Rows of one write are refused one by one."""
    await database.command("collMod", AUDIT_COLLECTION, validator={"target": {"$exists": True}})
    audit.note(a_row())
    audit.note(good := a_row(target="t"))

    assert list(await shown_when(audit, bool)) == [good]


async def test_the_last_outcomes_are_written_before_the_process_ends(database: Database) -> None:
    """A process that stops gracefully writes all outcomes."""
    audit = MongoAuditLog(database)
    rows = [a_row() for _ in range(1200)]
    for row in rows:
        audit.note(row)
    await audit.aclose()

    assert await database[AUDIT_COLLECTION].count_documents({}) == len(rows)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (AuditQuery(target="t"), "rows_of_target"),
        (AuditQuery(request_id="r", owner="o"), "rows_of_request"),
        (AuditQuery(key_id="k", action=Action.TASK_CREATE), "rows_of_key"),
        (AuditQuery(owner="o", outcome=Outcome.BEGUN), "rows_of_owner"),
        (AuditQuery(provider="p"), "_id_"),
        (AuditQuery(since=NOW), "_id_"),
    ],
)
async def test_a_search_reads_one_index(
    audit: MongoAuditLog, database: Database, query: AuditQuery, index: str
) -> None:
    """The most selective one, in the order of the page, so that nothing is sorted."""
    await audit.begin(
        row := a_row(target="t", request_id="r", key_id="k", owner="o", provider="p", action=Action.TASK_CREATE)
    )
    await database.command("profile", 2)
    assert list(await audit.page(query)) == [row]
    await database.command("profile", 0)

    (seen,) = await database["system.profile"].find({"op": "query", "command.find": AUDIT_COLLECTION}).to_list(None)
    assert seen["planSummary"].startswith("IXSCAN")
    assert seen["command"]["hint"] == index
    assert "hasSortStage" not in seen


async def test_an_unavailable_database_raises_store_unavailable() -> None:
    """Then nothing may be done; outcomes wait in memory, and closing ends within its time limit."""
    database = connect_mongo(f"mongodb://127.0.0.1:{free_port()}/polyrelay?serverSelectionTimeoutMS=100")
    audit = MongoAuditLog(database)

    with pytest.raises(StoreUnavailable):
        await audit.begin(a_row())
    with pytest.raises(StoreUnavailable):
        await audit.page(AuditQuery())
    audit.end(AuditEnding(id="audit_1", outcome=Outcome.DONE))
    await audit.aclose()
    database.client.close()


async def test_an_outcome_survives_that_the_database_is_unavailable(tmp_path: Path) -> None:
    """It is written when the database is available again."""
    async with running(MongoServer(tmp_path, port=free_port())) as server:
        database = connect_mongo(f"{server.url}&serverSelectionTimeoutMS=2000")
        audit = MongoAuditLog(database)
        await audit.begin(row := a_row())
        await server.stop()
        audit.end(AuditEnding(id=row.id, outcome=Outcome.DONE, status=200))
        audit.note(noted := a_row(at=NOW + timedelta(seconds=1)))
        with pytest.raises(StoreUnavailable):
            await audit.begin(a_row())
        await server.start()

        found = await shown_when(audit, lambda rows: len(rows) == 2 and rows[1].outcome is Outcome.DONE)
        assert found[0] == noted
        await audit.aclose()
        database.client.close()
