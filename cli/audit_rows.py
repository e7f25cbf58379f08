"""Audit rows of commands that change the database: one row before the change, completed with its outcome."""

import getpass
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from click import get_current_context

from core.audit import Action, AuditEnding, AuditLog, AuditRow, Outcome
from core.clock import utc_now
from core.errors import InvalidRequest, KeyNotFound, NotPossible, PolyrelayError, Stale
from core.random_ids import new_row_id
from core.redaction import redaction

T = TypeVar("T")

_NOTHING_DONE: Final = (InvalidRequest, KeyNotFound, NotPossible, Stale)


async def audited(
    audit: AuditLog,
    action: Action,
    act: Callable[[], Awaitable[T]],
    *,
    target: str | None = None,
    target_of: Callable[[T], str | None] = lambda _: None,
    detail: Mapping[str, Any] | None = None,
) -> T:
    """
    Write an audit row, call `act`, and write its outcome. The row's source is the user and host of this process.

    Args:
        audit: Must be closed before the process ends, because it writes outcomes later.
        action: The action in the row.
        act: Makes the change.
        target: What is changed, as the user named it.
        target_of: Returns the id of what was changed, from the result of `act`.
        detail: The options of the command; secrets in it are hidden.

    Raises:
        AuditFailed, StoreUnavailable: The row could not be stored; `act` was not called.
    """
    now, started = utc_now(), time.perf_counter()
    row = AuditRow(
        id=new_row_id(now),
        at=now,
        action=action,
        source=_user_and_host(),
        path=get_current_context().command_path,
        target=target,
        detail=redaction()(dict(detail)) if detail else None,
    )
    await audit.begin(row)

    def end(outcome: Outcome, **fields: Any) -> None:
        duration_ms = round((time.perf_counter() - started) * 1000, 1)
        audit.end(AuditEnding(id=row.id, outcome=outcome, duration_ms=duration_ms, **fields))

    try:
        result = await act()
    except PolyrelayError as error:
        end(Outcome.REFUSED if isinstance(error, _NOTHING_DONE) else Outcome.FAILED, error=error.code)
        raise
    end(Outcome.DONE, target=target_of(result))
    return result


def _user_and_host() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run with a user id that has no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
