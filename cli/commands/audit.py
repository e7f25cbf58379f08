"""Commands `polyrelay audit`: search the audit log of a running server."""

from datetime import UTC, datetime
from typing import Any, Final

import rich_click as click
from msgspec import Struct

from cli.connection import Server, api_errors_as_failed, call_api, server_options
from cli.output import FORMAT, print_json, print_message, print_table
from core.audit import Action, Outcome
from polyrelay.client.calls import Call

_TIMES: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])


class AuditRowView(Struct, frozen=True, kw_only=True):
    """One row of the audit log, as the API returns it."""

    id: str
    at: str
    action: str
    outcome: str
    error: str | None = None
    key_id: str | None = None
    access_key: str | None = None
    owner: str | None = None
    source: str | None = None
    request_id: str | None = None
    method: str | None = None
    path: str | None = None
    target: str | None = None
    provider: str | None = None
    model: str | None = None
    status: int | None = None
    duration_ms: float | None = None
    upstream_request_id: str | None = None
    detail: dict[str, Any] | None = None


class AuditPage(Struct, frozen=True, kw_only=True):
    """One page of the audit log, newest row first."""

    rows: list[AuditRowView]
    limit: int
    next_after: str | None = None


@click.group(name="audit")
def command() -> None:
    """Search the audit log of a running server."""


@command.command(name="list")
@click.option("--since", type=_TIMES, metavar="TIME", help="Only rows written at this time or later, in UTC.")
@click.option("--until", type=_TIMES, metavar="TIME", help="Only rows written before this time, in UTC.")
@click.option(
    "--action",
    type=click.Choice([action.value for action in Action]),
    metavar="ACTION",
    help="Only this action, such as task.create.",
)
@click.option(
    "--outcome", type=click.Choice([outcome.value for outcome in Outcome]), help="Only actions with this outcome."
)
@click.option("--owner", help="Only actions by keys of this owner.")
@click.option("--key-id", help="Only actions by the key with this id.")
@click.option("--target", help="Only actions on this task, key, user or provider.")
@click.option("--provider", help="Only actions for this provider.")
@click.option("--request-id", help="Only actions of the request with this id.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="Largest number of rows.")
@click.option("--after", help="Only rows older than the row with this id.")
@server_options
@FORMAT
def list_rows(server: Server, output_format: str, **filters: Any) -> None:
    """
    List rows of the audit log, newest first.

    Needs an API key with the role admin, unless the server has AUTH=none.

    Example: polyrelay audit list --action key.create --since 2026-01-31
    """
    params = {name: _text(value) for name, value in filters.items() if value is not None}
    with api_errors_as_failed():
        page = call_api(server, Call(method="GET", path="/api/v1/audit", answer=AuditPage, params=params))
    if output_format == "json":
        print_json(page)
        return
    rows = [
        (row.at, row.action, _outcome(row), row.target or "", row.owner or "", row.source or "", row.request_id or "")
        for row in page.rows
    ]
    print_table(("at", "action", "outcome", "target", "owner", "source", "request"), rows)
    print_message(f"{len(page.rows)} rows" + (f"; older ones: --after {page.next_after}" if page.next_after else ""))


def _text(value: object) -> str:
    return value.replace(tzinfo=UTC).isoformat() if isinstance(value, datetime) else str(value)


def _outcome(row: AuditRowView) -> str:
    status = f" {row.status}" if row.status is not None else ""
    return f"{row.outcome}{status}" + (f" {row.error}" if row.error else "")
