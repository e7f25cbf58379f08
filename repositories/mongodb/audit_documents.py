"""Documents of audit rows: the fields of `AuditRow`, with `_id` for `id`, and `detail` as a JSON text."""

from datetime import datetime
from typing import Any, Final

import msgspec

from core.audit import Action, AuditEnding, AuditQuery, AuditRow
from core.random_ids import row_ids_from
from repositories.mongodb.task_documents import Document

AUDIT_COLLECTION: Final = "audit"

_ACTIONS: Final = frozenset(Action)


def document_of_row(row: AuditRow) -> Document:
    """The row's document; `detail` may hold JSON values that BSON cannot."""
    values: dict[str, Any] = msgspec.to_builtins(row, builtin_types=(datetime,))
    values["_id"] = values.pop("id")
    values["outcome"] = row.outcome.value
    if "detail" in values:
        values["detail"] = msgspec.json.encode(row.detail).decode()
    return values


def row_of(document: Document) -> AuditRow:
    """The row of a document. An action that this version does not know, such as a newer one, is `other`."""
    fields = {**document, "id": document["_id"]}
    if fields["action"] not in _ACTIONS:
        fields["action"] = Action.OTHER
    if "detail" in fields:
        fields["detail"] = msgspec.json.decode(fields["detail"])
    return msgspec.convert(fields, AuditRow)


def changes_of(ending: AuditEnding) -> Document:
    """The fields that an ending sets."""
    values: dict[str, Any] = msgspec.to_builtins(ending)
    del values["id"]
    return values


def filter_of(query: AuditQuery) -> Document:
    """The filter of a query. Times are compared with the ids, which begin with the time."""
    names = ("action", "outcome", "owner", "key_id", "target", "provider", "request_id")
    conditions: Document = {name: str(value) for name in names if (value := getattr(query, name)) is not None}
    ids: Document = {}
    if query.since is not None:
        ids["$gte"] = row_ids_from(query.since)
    until = None if query.until is None else row_ids_from(query.until)
    if before := min(filter(None, (query.after, until)), default=None):
        ids["$lt"] = before
    return {**conditions, "_id": ids} if ids else conditions
