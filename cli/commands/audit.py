"""`polyrelay audit`: what was done on a running server."""

from datetime import UTC, datetime
from typing import Any, Final

import rich_click as click
from msgspec import Struct

from cli.connection import Server, answer_of, at_server, refusals_reported
from cli.output import FORMAT, print_json, print_table, report
from core.audit import Action, Outcome
from polyrelay.client.calls import Call

_TIMES: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])


class Row(Struct, frozen=True, kw_only=True):
    """What was done, as the server tells it."""

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


class Rows(Struct, frozen=True, kw_only=True):
    """One page of rows."""

    rows: list[Row]
    limit: int
    next_after: str | None = None


@click.group(name="audit")
def command() -> None:
    """Search the audit log of a running server."""


@command.command(name="list")
@click.option("--since", type=_TIMES, metavar="TIME", help="Only rows written then or later, UTC.")
@click.option("--until", type=_TIMES, metavar="TIME", help="Only rows written before, UTC.")
@click.option(
    "--action",
    type=click.Choice([action.value for action in Action]),
    metavar="ACTION",
    help="Only that, such as task.create.",
)
@click.option("--outcome", type=click.Choice([outcome.value for outcome in Outcome]), help="Only what ended so.")
@click.option("--owner", help="Only what keys of that owner did.")
@click.option("--key-id", help="Only what that key did.")
@click.option("--target", help="Only what concerns that task, key, user or provider.")
@click.option("--provider", help="Only what is for that provider.")
@click.option("--request-id", help="Only what that request did.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="At most so many.")
@click.option("--after", help="Only those older than the row of this id.")
@at_server
@FORMAT
def list_rows(server: Server, output_format: str, **filters: Any) -> None:
    """List what was done, newest first."""
    params = {name: _text(value) for name, value in filters.items() if value is not None}
    with refusals_reported():
        page = answer_of(server, Call(method="GET", path="/api/v1/audit", answer=Rows, params=params))
    if output_format == "json":
        print_json(page)
        return
    rows = [
        (row.at, row.action, _outcome(row), row.target or "", row.owner or "", row.source or "", row.request_id or "")
        for row in page.rows
    ]
    print_table(("at", "action", "outcome", "target", "owner", "source", "request"), rows)
    report(f"{len(page.rows)} rows" + (f"; older ones: --after {page.next_after}" if page.next_after else ""))


def _text(value: object) -> str:
    return value.replace(tzinfo=UTC).isoformat() if isinstance(value, datetime) else str(value)


def _outcome(row: Row) -> str:
    status = f" {row.status}" if row.status is not None else ""
    return f"{row.outcome}{status}" + (f" {row.error}" if row.error else "")
