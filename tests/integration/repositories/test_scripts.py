"""Script batches on a real Valkey: calls of the same moment share a round trip and nothing else."""

import asyncio

import pytest
from arq.connections import ArqRedis

from core.errors import QueueUnavailable
from repositories.valkey.script_batch import Scripts

SOURCES = {
    "count": "return redis.call('INCRBY', 'count', ARGV[1])",
    "break": "return redis.error_reply('broken ' .. ARGV[1])",
    "echo": "return ARGV[1]",
}


@pytest.fixture
def scripts(redis: ArqRedis) -> Scripts:
    """Scripts that Valkey does not know yet."""
    return Scripts(redis, SOURCES)


async def test_each_caller_gets_its_own_answer(scripts: Scripts) -> None:
    """Of different scripts, in any number, asked for at once."""
    answers = await asyncio.gather(*(scripts.run("echo", str(number)) for number in range(250)))

    assert answers == [str(number).encode() for number in range(250)]


async def test_a_script_that_fails_fails_its_caller(scripts: Scripts) -> None:
    """Other callers of the same moment are not affected."""
    answers = await asyncio.gather(
        scripts.run("count", "1"), scripts.run("break", "x"), scripts.run("count", "1"), return_exceptions=True
    )

    assert (answers[0], answers[2]) == (1, 2)
    assert isinstance(answers[1], QueueUnavailable)


async def test_each_runs_once_though_redis_forgets_its_scripts(scripts: Scripts, redis: ArqRedis) -> None:
    """A new or restarted Redis gets the texts; scripts that ran already do not run again."""
    await scripts.run("count", "1")
    await redis.script_flush()
    await redis.script_load(SOURCES["echo"])

    answers = await asyncio.gather(scripts.run("echo", "a"), scripts.run("count", "10"), scripts.run("count", "100"))

    assert list(answers) == [b"a", 11, 111]


async def test_scripts_of_one_moment_share_a_round_trip(scripts: Scripts, redis: ArqRedis) -> None:
    """Fifty reach Valkey in a handful of reads: a long message may come in pieces."""
    await scripts.run("count", "1")
    before = (await redis.info("stats"))["total_reads_processed"]

    await asyncio.gather(*(scripts.run("count", "1") for _ in range(50)))

    assert (await redis.info("stats"))["total_reads_processed"] <= before + 10
