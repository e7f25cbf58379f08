"""`polyrelay audit list` against a server that answers as the real one does."""

import json
from urllib.parse import parse_qs, urlsplit

from cli.commands.audit import AuditRowView
from core.audit import AuditRow
from tests.unit.cli.fake_api import FakeApi, Run

ROW = {
    "id": "audit_1",
    "at": "2026-01-31T12:00:00Z",
    "action": "task.cancel",
    "outcome": "refused",
    "error": "not_possible",
    "status": 409,
    "target": "task_1",
    "owner": "ada",
    "request_id": "r-1",
}


class FakeAudit:
    """Answers the list; `asked` holds the filters that came."""

    def __init__(self, api: FakeApi, *, next_after: str | None = None) -> None:
        self.asked: dict[str, list[str]] = {}
        self._page = {"rows": [ROW], "limit": 1, "next_after": next_after}
        api.answer = self.answer  # type: ignore[method-assign]

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body."""
        assert (method, urlsplit(path).path, body) == ("GET", "/api/v1/audit", b"")
        self.asked = parse_qs(urlsplit(path).query)
        return 200, json.dumps({"success": True, "data": self._page, "message": ""}).encode()


def test_rows_are_a_table(api: FakeApi, run: Run) -> None:
    """Each row is one line; standard error says how to read older rows."""
    FakeAudit(api, next_after="audit_1")

    result = run("audit", "list", "--url", api.url, COLUMNS="200")

    assert result.exit_code == 0, result.output
    heading, row = result.stdout.splitlines()
    assert heading.split() == ["at", "action", "outcome", "target", "owner", "source", "request"]
    assert row.split() == [ROW["at"], "task.cancel", "refused", "409", "not_possible", "task_1", "ada", "r-1"]
    assert "older ones: --after audit_1" in result.stderr


def test_filters_are_sent_to_the_server(api: FakeApi, run: Run) -> None:
    """Times without a zone are sent as UTC."""
    audit = FakeAudit(api)
    filters = {
        "since": "2026-01-31",
        "until": "2026-02-01T12:30:00Z",
        "action": "key.create",
        "outcome": "failed",
        "owner": "ada",
        "key-id": "k",
        "target": "t",
        "provider": "p",
        "request-id": "r",
        "limit": "7",
        "after": "audit_9",
    }

    result = run("audit", "list", *(f"--{name}={value}" for name, value in filters.items()), "--url", api.url)

    assert result.exit_code == 0, result.output
    times = {"since": "2026-01-31T00:00:00+00:00", "until": "2026-02-01T12:30:00+00:00"}
    assert audit.asked == {name.replace("-", "_"): [value] for name, value in {**filters, **times}.items()}


def test_json_output_is_one_document(api: FakeApi, run: Run) -> None:
    """It has every field of a row."""
    FakeAudit(api)

    (row,) = json.loads(run("audit", "list", "--format", "json", "--url", api.url).stdout)["rows"]

    assert tuple(row) == AuditRowView.__struct_fields__ == AuditRow.__struct_fields__
    assert {name: value for name, value in row.items() if value is not None} == ROW
