"""Commands that change the database themselves, on the audit log: a row before the effect, then what came of it."""

import getpass
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from click import get_current_context

from core.audit import Action, AuditEnding, AuditLog, AuditRow, Outcome, new_row_id
from core.clock import utc_now
from core.errors import InvalidRequest, KeyNotFound, NotPossible, PolyrelayError, Stale
from core.redaction import redaction

T = TypeVar("T")

_NOTHING_DONE: Final = (InvalidRequest, KeyNotFound, NotPossible, Stale)


async def on_record(
    audit: AuditLog,
    action: Action,
    act: Callable[[], Awaitable[T]],
    *,
    target: str | None = None,
    target_of: Callable[[T], str | None] = lambda _: None,
    detail: Mapping[str, Any] | None = None,
) -> T:
    """
    Do it, on record as the doing of whoever runs this command on this machine.

    Args:
        audit: To be closed before the process ends: what came of it is written then.
        action: What is done.
        act: Does it.
        target: What is changed, as it was given.
        target_of: Tells from the outcome what was changed.
        detail: What was asked for; secrets in it are hidden.

    Raises:
        AuditFailed, StoreUnavailable: It is not on record, so it was not done.
    """
    now, started = utc_now(), time.perf_counter()
    row = AuditRow(
        id=new_row_id(now),
        at=now,
        action=action,
        source=_whoami(),
        path=get_current_context().command_path,
        target=target,
        detail=redaction()(dict(detail)) if detail else None,
    )
    await audit.begin(row)

    def end(outcome: Outcome, **facts: Any) -> None:
        duration_ms = round((time.perf_counter() - started) * 1000, 1)
        audit.end(AuditEnding(id=row.id, outcome=outcome, duration_ms=duration_ms, **facts))

    try:
        done = await act()
    except PolyrelayError as error:
        end(Outcome.REFUSED if isinstance(error, _NOTHING_DONE) else Outcome.FAILED, error=error.code)
        raise
    end(Outcome.DONE, target=target_of(done))
    return done


def _whoami() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
