"""Script batches: calls of Lua scripts at the same moment share one round trip."""

from collections.abc import Mapping, Sequence
from hashlib import sha1
from typing import Any, Final, NamedTuple

from arq.connections import ArqRedis
from redis.exceptions import NoScriptError

from repositories.group_commit import GroupCommit
from repositories.valkey.connection import CLIENT_ERRORS, unavailable

_AT_ONCE: Final = 100


class _Call(NamedTuple):
    script: str
    argument: str


class Scripts:
    """
    Runs scripts that take one argument and no keys. Each call is atomic by itself; calls share only the round trip.

    Args:
        redis: The client.
        sources: The texts of the scripts by name.
    """

    def __init__(self, redis: ArqRedis, sources: Mapping[str, str]) -> None:
        self._redis = redis
        self._sources = sources
        self._digests = {name: sha1(text.encode()).hexdigest() for name, text in sources.items()}  # noqa: S324  Redis names scripts by SHA-1
        self._calls = GroupCommit[_Call, Any](self._run_each, most=_AT_ONCE)

    async def run(self, script: str, argument: str) -> Any:
        """
        Run the script of that name and return its answer.

        Raises:
            QueueUnavailable: Redis is unavailable, or the script failed.
        """
        try:
            return await self._calls(_Call(script, argument))
        except CLIENT_ERRORS as error:
            raise unavailable(self._redis, error) from error

    async def _run_each(self, calls: Sequence[_Call]) -> Sequence[Any | Exception]:
        answers = await self._answers(calls)
        unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:  # Redis is new or was flushed; these calls did not run
            for name in {calls[index].script for index in unknown}:
                await self._redis.script_load(self._sources[name])
            again = await self._answers([calls[index] for index in unknown])
            for index, answer in zip(unknown, again, strict=True):
                answers[index] = answer
        return answers

    async def _answers(self, calls: Sequence[_Call]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.evalsha(self._digests[call.script], 0, call.argument)
            return list(await pipe.execute(raise_on_error=False))
