"""The audit log's page is compared with the code."""

from collections.abc import Callable

from api.routes.audit import AuditRowView
from core.audit import Action, Outcome

PAGE = "docs/reference/audit.md"
Tables = Callable[[str], list[list[str]]]


def test_every_action_outcome_and_field_is_listed(rows: Tables) -> None:
    """The tables of the page are those of the code, in its order."""
    listed = [row[0].strip("`") for row in rows(PAGE) if row[0].startswith("`")]

    assert listed == [*Action, *Outcome, *AuditRowView.__struct_fields__]
