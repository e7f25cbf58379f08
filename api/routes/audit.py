"""Audit log route, for admins."""

from datetime import datetime
from typing import Annotated, Final

from litestar import Controller, get
from msgspec import Meta, Struct, structs

from api.context import Call, use_cases_of
from api.requests import Name, read_query
from api.route_policy import RoutePolicy, guarded_by
from api.views.tasks import Envelope
from core.audit import ROW_ID, Action, AuditQuery, AuditRow, Outcome
from core.callers import Role

MOST_ROWS: Final = 500

Since = Annotated[datetime, Meta(tz=True, description="Only rows written at this time or later: 2026-01-31T12:00:00Z.")]
Until = Annotated[datetime, Meta(tz=True, description="Only rows written before this time.")]
Target = Annotated[
    str, Meta(min_length=1, max_length=200, description="The id of a task, key or user, or the name of a provider.")
]
Limit = Annotated[int, Meta(ge=1, le=MOST_ROWS, description="The most rows to return.")]
After = Annotated[
    str, Meta(pattern=ROW_ID, description="Only rows older than this one: the `next_after` of the previous page")
]


class AuditListQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter and page of a list of rows."""

    since: Since | None = None
    until: Until | None = None
    action: Action | None = None
    outcome: Outcome | None = None
    owner: Name | None = None
    key_id: Name | None = None
    target: Target | None = None
    provider: Name | None = None
    request_id: Name | None = None
    limit: Limit = 50
    after: After | None = None


class AuditRowView(AuditRow, frozen=True, kw_only=True, omit_defaults=False):
    """A row, with each of its fields."""


class AuditList(Struct, frozen=True, kw_only=True):
    """One page of rows, newest first. `next_after` is null at the end."""

    rows: list[AuditRowView]
    limit: int
    next_after: str | None


class Audit(Controller):
    """The route of the audit log."""

    path = "/api/v1/audit"

    @get(opt=guarded_by(RoutePolicy(access=Role.ADMIN, audit=None)))
    async def listed(self, request: Call) -> Envelope[AuditList]:
        """One page of rows, newest first."""
        query = read_query(request, AuditListQuery)
        found = await use_cases_of(request).adapters.audit.page(AuditQuery(**structs.asdict(query)))
        rows = [AuditRowView(**structs.asdict(row)) for row in found]
        after = rows[-1].id if len(rows) == query.limit else None
        return Envelope(data=AuditList(rows=rows, limit=query.limit, next_after=after))
