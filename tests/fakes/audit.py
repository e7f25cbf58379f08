"""In-memory adapter of `AuditLog`."""

from collections.abc import Sequence

from msgspec import structs

from core.audit import AuditEnding, AuditQuery, AuditRow
from core.errors import AuditFailed, StoreUnavailable
from repositories.mongodb.audit import changes_of, document_of_row, row_of
from repositories.mongodb.task_documents import Document


class MemoryAuditLog:
    """
    Adapter of `AuditLog` for tests: rows in a dictionary, as documents.

    Attributes:
        reachable: While it is False, `begin` and `page` raise `StoreUnavailable`; ends and notes are lost.
        works: While it is False, every row is refused.
    """

    def __init__(self) -> None:
        self.reachable = True
        self.works = True
        self._documents: dict[str, Document] = {}

    @property
    def rows(self) -> list[AuditRow]:
        """All rows, oldest first."""
        return [row_of(self._documents[row_id]) for row_id in sorted(self._documents)]

    async def begin(self, row: AuditRow) -> None:
        """As `AuditLog.begin`."""
        self._check()
        if not self.works:
            raise AuditFailed("the audit log refused the row; nothing was done")
        self._documents[row.id] = document_of_row(row)

    def end(self, ending: AuditEnding) -> None:
        """As `AuditLog.end`."""
        if self.reachable and ending.id in self._documents:
            self._documents[ending.id] |= changes_of(ending)

    def note(self, row: AuditRow) -> None:
        """As `AuditLog.note`."""
        if self.reachable and self.works:
            self._documents[row.id] = document_of_row(row)

    async def page(self, query: AuditQuery) -> Sequence[AuditRow]:
        """As `AuditLog.page`."""
        self._check()
        return [row for row in reversed(self.rows) if _means(query, row)][: query.limit]

    def _check(self) -> None:
        if not self.reachable:
            raise StoreUnavailable("the in-memory audit log was made unreachable by the test")


def _means(query: AuditQuery, row: AuditRow) -> bool:
    wanted = structs.asdict(query)
    for name in ("since", "until", "after", "limit"):
        del wanted[name]
    return (
        all(value is None or getattr(row, name) == value for name, value in wanted.items())
        and (query.since is None or row.at >= query.since)
        and (query.until is None or row.at < query.until)
        and (query.after is None or row.id < query.after)
    )
