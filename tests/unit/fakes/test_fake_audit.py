"""The twin of the audit log keeps the contract."""

import pytest
from hypothesis import given

from core.audit import Action, AuditRow, Outcome
from repositories.mongodb.audit import document_of_row, row_of
from tests.contracts.audit_log import NOW, AuditLogContract
from tests.contracts.tasks import json_objects
from tests.fakes.audit import MemoryAuditLog


@pytest.fixture
def audit() -> MemoryAuditLog:
    """No rows."""
    return MemoryAuditLog()


class TestMemoryAuditLog(AuditLogContract):
    """`MemoryAuditLog` keeps the contract."""


@given(json_objects())
def test_any_detail_survives(detail: dict[str, object]) -> None:
    """Also keys and numbers that MongoDB's own format cannot hold."""
    row = AuditRow(id="audit_1", at=NOW, action=Action.KEY_CREATE, outcome=Outcome.DONE, detail=detail)
    assert row_of(document_of_row(row)) == row


def test_an_action_of_a_newer_server_is_shown_as_another() -> None:
    """A list does not fail on it."""
    document = {**document_of_row(AuditRow(id="audit_1", at=NOW, action=Action.KEY_CREATE)), "action": "moon.land"}
    assert row_of(document).action is Action.OTHER
