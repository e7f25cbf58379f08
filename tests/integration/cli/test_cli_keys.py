"""The commands `polyrelay keys` on a real MongoDB."""

import asyncio
import base64
import getpass
import json
import re
import socket
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from click.testing import CliRunner, Result
from pymongo import MongoClient

from cli.main import main
from core.audit import Action, AuditQuery, AuditRow, Outcome
from core.settings import NAMES
from repositories.mongodb.audit import AUDIT_COLLECTION, MongoAuditLog
from repositories.mongodb.client import connect_mongo

ENCRYPTION_KEY = base64.b64encode(bytes(range(32))).decode()
ANOTHER = base64.b64encode(bytes(range(1, 33))).decode()


class Keys(Protocol):
    """Runs `polyrelay keys …`; keyword arguments are settings."""

    def __call__(self, *args: str, **settings: str) -> Result:
        """The output and the exit code."""


@pytest.fixture
def keys(mongo_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    """A runner of `polyrelay keys` on an empty database."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)

    def run(*args: str, **settings: str) -> Result:
        environment = {"MONGO_URL": mongo_database_url, "API_KEY_ENCRYPTION_KEY": ENCRYPTION_KEY, **settings}
        return CliRunner().invoke(main, ["keys", *args], env=environment, prog_name="polyrelay")

    return run


def document(result: Result) -> Any:
    """The JSON document of a successful command."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_key_is_created_shown_listed_and_revoked(keys: Keys) -> None:
    """No API has run before; the secret is shown once."""
    made = document(keys("create", "--role", "admin", "--description", "first", "--max-queue", "0", "--format", "json"))
    listed = keys("list", "--format", "json")
    shown = keys("show", made["access_key"], "--format", "json")

    assert (made["role"], made["state"], made["max_queue"], made["owner"]) == ("admin", "active", 0, made["id"])
    assert made["secret"].startswith("sk_")
    assert document(listed)["total"] == 1
    assert document(shown) == {name: value for name, value in made.items() if name != "secret"}
    assert made["secret"] not in listed.output + shown.output
    assert document(keys("revoke", made["id"], "--format", "json"))["state"] == "revoked"


def test_text_output_has_the_secret_and_a_warning(keys: Keys) -> None:
    """The fields are on standard output, the warning is on standard error."""
    made = keys("create", "--owner", "shop", "--expires-at", "2999-01-01T00:00:00+01:00")

    assert re.search(r"^secret +sk_\w{40}$", made.stdout, re.MULTILINE)
    assert re.search(r"^owner +shop$", made.stdout, re.MULTILINE)
    assert re.search(r"^expires +2998-12-31T23:00:00Z$", made.stdout, re.MULTILINE)
    assert "shown only this once" in made.stderr
    assert "shown only this once" not in made.stdout


def test_a_key_is_rotated_with_a_grace_period(keys: Keys) -> None:
    """The old key expires later; the new key has its owner."""
    old = document(keys("create", "--format", "json"))
    new = document(keys("rotate", old["id"], "--grace-period", "5m", "--format", "json"))

    assert (new["owner"], new["rotated_from"]) == (old["owner"], old["id"])
    assert new["old"]["state"] == "active"
    assert new["old"]["expires_at"] is not None
    assert new["secret"] != old["secret"]


def test_the_encryption_key_can_be_changed(keys: Keys) -> None:
    """The new key is put in front of the old one; after `reencrypt` the new key alone is enough."""
    made = document(keys("create", "--format", "json"))
    both = f"{ANOTHER},{ENCRYPTION_KEY}"

    assert "1 secrets" in keys("reencrypt", API_KEY_ENCRYPTION_KEY=both).stdout
    assert document(keys("reencrypt", "--format", "json", API_KEY_ENCRYPTION_KEY=ANOTHER)) == {"reencrypted": 0}
    assert "not in API_KEY_ENCRYPTION_KEY" in keys("reencrypt").stderr
    assert document(keys("show", made["id"], "--format", "json"))["state"] == "active"


def test_changes_are_in_the_audit_log(keys: Keys, mongo_database_url: str) -> None:
    """A row has the user, host, options and outcome, also of a refused change, and never a secret."""
    made = document(keys("create", "--role", "admin", "--description", "first", "--format", "json"))
    new = document(keys("rotate", made["access_key"], "--grace-period", "5m", "--format", "json"))
    keys("revoke", made["id"])
    keys("revoke", "key_0")
    keys("reencrypt")
    keys("list")

    rows = asyncio.run(_rows(mongo_database_url))
    assert [(row.action, row.outcome, row.target) for row in rows] == [
        (Action.KEY_CREATE, Outcome.DONE, made["id"]),
        (Action.KEY_ROTATE, Outcome.DONE, made["id"]),
        (Action.KEY_REVOKE, Outcome.DONE, made["id"]),
        (Action.KEY_REVOKE, Outcome.REFUSED, "key_0"),
        (Action.KEY_REENCRYPT, Outcome.DONE, None),
    ]
    assert {row.source for row in rows} == {f"{getpass.getuser()}@{socket.gethostname()}"}
    assert rows[0].path == "polyrelay keys create"
    assert rows[0].detail == {"role": "admin", "description": "first"}
    assert rows[3].error == "key_not_found"
    assert not any(secret in str(rows) for secret in (made["secret"], new["secret"]))


async def _rows(mongo_database_url: str) -> Sequence[AuditRow]:
    """Oldest first."""
    database = connect_mongo(mongo_database_url)
    rows = await MongoAuditLog(database).page(AuditQuery())
    database.client.close()
    return rows[::-1]


def test_an_interrupted_change_is_in_the_audit_log_as_failed(keys: Keys, mongo_database_url: str) -> None:
    """Some secrets may have been re-encrypted before one could not be read."""
    keys("create")
    keys("reencrypt", API_KEY_ENCRYPTION_KEY=ANOTHER)

    assert [row.outcome for row in asyncio.run(_rows(mongo_database_url))] == [Outcome.DONE, Outcome.FAILED]


def test_a_command_does_not_change_how_long_rows_are_kept(keys: Keys, mongo_database_url: str) -> None:
    """Its environment may have another AUDIT_KEEP_DAYS or none, which would delete old rows."""
    asyncio.run(_kept(mongo_database_url, timedelta(days=365)))
    keys("create")
    keys("list", AUDIT_KEEP_DAYS="7")

    with MongoClient(mongo_database_url) as client:  # type: ignore[var-annotated]
        indexes = client.get_default_database()[AUDIT_COLLECTION].index_information()
    assert indexes["rows_by_age"]["expireAfterSeconds"] == 365 * 24 * 3600


async def _kept(mongo_database_url: str, kept: timedelta) -> None:
    database = connect_mongo(mongo_database_url)
    await MongoAuditLog(database, kept=kept).prepare()
    database.client.close()


def test_a_key_is_not_created_if_its_audit_row_cannot_be_stored(keys: Keys, mongo_database_url: str) -> None:
    """No change is made without an audit row."""
    assert document(keys("list", "--format", "json"))["total"] == 0
    with MongoClient(mongo_database_url) as client:  # type: ignore[var-annotated]
        client.get_default_database().create_collection(AUDIT_COLLECTION, validator={"never": {"$exists": True}})

    result = keys("create")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "audit log" in result.stderr
    assert document(keys("list", "--format", "json"))["total"] == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("show", "key_0"), "there is no key 'key_0'"),
        (("create", "--expires-at", "tomorrow"), "--expires-at=tomorrow"),
        (("create", "--expires-at", "2001-01-01T00:00:00Z"), "a time in the future"),
        (("create", "--expires-at", "2999-01-01T00:00:00"), "--expires-at=2999-01-01T00:00:00"),
        (("create", "--owner", "a b"), "--owner=a b"),
        (("create", "--description", "x" * 201), "--description"),
        (("rotate", "key_0", "--grace-period", "soon"), "--grace-period=soon: must be a duration"),
        (("rotate", "key_0", "--grace-period", "9999d"), "--grace-period-s"),
    ],
)
def test_an_error_is_one_message(keys: Keys, args: tuple[str, ...], message: str) -> None:
    """It has the value and the allowed values; the exit code is 1, and there is no stack trace."""
    result = keys(*args)

    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_a_missing_encryption_key_is_reported_with_advice(keys: Keys) -> None:
    """No secret is stored that could not be read again."""
    result = keys("create", API_KEY_ENCRYPTION_KEY="")

    assert result.exit_code == 1
    assert "openssl rand -base64 32" in result.stderr
