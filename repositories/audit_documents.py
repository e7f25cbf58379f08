"""How a row of the audit log looks in MongoDB: the fields of `AuditRow`, with `_id` for `id`, and `detail` as JSON."""

from datetime import datetime
from typing import Any, Final

import msgspec

from core.audit import AuditRow
from repositories.task_documents import Document

AUDIT_COLLECTION: Final = "audit"


def document_of_row(row: AuditRow) -> Document:
    """The row's document; `detail` may hold JSON values that BSON cannot."""
    values: dict[str, Any] = msgspec.to_builtins(row, builtin_types=(datetime,))
    values["_id"] = values.pop("id")
    if "detail" in values:
        values["detail"] = msgspec.json.encode(row.detail).decode()
    return values


def row_of(document: Document) -> AuditRow:
    """The row of a document."""
    fields = {**document, "id": document["_id"]}
    if "detail" in fields:
        fields["detail"] = msgspec.json.decode(fields["detail"])
    return msgspec.convert(fields, AuditRow)
