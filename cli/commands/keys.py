"""Commands `polyrelay keys`: API keys, read and written in MongoDB, so that the first key needs no running API."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
import rich_click as click
import structlog

from cli.audit_rows import audited
from cli.output import FORMAT, Failed, print_json, print_message, print_table
from cli.startup import settings_or_exit
from core.audit import Action, AuditLog
from core.callers import Role
from core.clock import utc_now
from core.errors import ConfigurationError, InvalidRequest, PolyrelayError
from core.keys import KeyQuery
from core.units import seconds
from core.validation import checked
from core.vault import vault_of
from services.access.api_keys import ApiKeys, KeyOrder, NewKey, RotationOrder
from services.access.key_view import KeyView, key_view

T = TypeVar("T")

_SHOWN_ONCE: Final = "The secret is shown only this once and is stored encrypted; keep it now. {next_step}"
_FIELDS: Final = (
    ("id", "id"),
    ("access_key", "access key"),
    ("owner", "owner"),
    ("role", "role"),
    ("state", "state"),
    ("description", "description"),
    ("created", "created"),
    ("expires_at", "expires"),
    ("revoked_at", "revoked"),
    ("rotated_from", "takes over"),
    ("rotated_to", "replaced by"),
    ("requests_per_minute", "requests/min"),
    ("max_concurrent", "max open"),
    ("max_queue", "max waiting"),
)
_DESCRIPTION: Final = click.option("--description", help="A note for people, such as who uses the key and where.")
_EXPIRES: Final = click.option(
    "--expires-at",
    metavar="TIME",
    help="Time of expiry, such as 2027-01-31T00:00:00Z.  [default: never]",
)
_NEW_EXPIRY: Final = click.option(
    "--expires-at", metavar="TIME", help="New time of expiry, such as 2027-01-31T00:00:00Z.  [default: unchanged]"
)
_COUNT: Final = click.IntRange(1, 1_000_000)


@click.group(name="keys")
def command() -> None:
    """
    Create, list, show, revoke and rotate API keys.

    Needs the MONGO_URL and API_KEY_ENCRYPTION_KEY of the API, from the environment or `.env`. The API need not run.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@command.command(name="create")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.APP.value,
    show_default=True,
    help="app: the owner's tasks. operator: all tasks, users and providers. admin: also keys and the audit log.",
)
@click.option("--owner", help="Keys with the same owner see the same tasks.  [default: the id of the key]")
@_DESCRIPTION
@_EXPIRES
@click.option("--requests-per-minute", type=_COUNT, help="Rate limit for requests of any kind.  [default: no limit]")
@click.option("--max-concurrent", type=_COUNT, help="Limit on open submissions.  [default: no limit]")
@click.option(
    "--max-queue", type=click.IntRange(0, 1_000_000), help="Limit on tasks in the wait queue.  [default: no limit]"
)
@FORMAT
def create(output_format: str, **fields: Any) -> None:
    """
    Create a key and print its secret. The secret is not shown again.

    Example: polyrelay keys create --role admin --description "first key"
    """
    order = _order(fields, KeyOrder)
    created = _change(
        Action.KEY_CREATE,
        lambda api_keys: api_keys.create(order),
        target_of=lambda created: created.key.id,
        detail=fields,
    )
    _print_new(created, output_format, {}, "Use it as POLYRELAY_API_KEY, or as `Authorization: Bearer <secret>`.")


@command.command(name="list")
@click.option("--owner", help="Only keys of this owner.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="Largest number of keys.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Number of keys to skip.")
@FORMAT
def list_keys(owner: str | None, limit: int, offset: int, output_format: str) -> None:
    """List keys, newest first."""
    page = _read(lambda api_keys: api_keys.page(KeyQuery(owner=owner, limit=limit, offset=offset)))
    views = [key_view(key, utc_now()) for key in page.keys]
    if output_format == "json":
        print_json({"keys": views, "total": page.total, "limit": limit, "offset": offset})
        return
    rows = [(view.id, view.access_key, view.role, view.state, view.owner, view.description) for view in views]
    print_table(("id", "access key", "role", "state", "owner", "description"), rows)
    print_message(f"{len(views)} of {page.total}")


@command.command(name="show")
@click.argument("key")
@FORMAT
def show(key: str, output_format: str) -> None:
    """Show the key with the id or access key KEY, without its secret."""
    found = _read(lambda api_keys: api_keys.get(key))
    _print(key_view(found, utc_now()), output_format)


@command.command(name="revoke")
@click.argument("key")
@FORMAT
def revoke(key: str, output_format: str) -> None:
    """
    Revoke the key with the id or access key KEY. This cannot be undone.

    Every API process refuses the key within 2 s.
    """
    revoked = _change(
        Action.KEY_REVOKE, lambda api_keys: api_keys.revoke(key), target=key, target_of=lambda revoked: revoked.id
    )
    _print(key_view(revoked, utc_now()), output_format)


@command.command(name="rotate")
@click.argument("key")
@click.option(
    "--grace-period",
    default="0s",
    show_default=True,
    metavar="DURATION",
    help="How long the old key stays valid, such as 5m or 1d. 0s revokes it at once.",
)
@_DESCRIPTION
@_NEW_EXPIRY
@FORMAT
def rotate(key: str, grace_period: str, output_format: str, **fields: Any) -> None:
    """
    Replace the key with the id or access key KEY by a new key with the same owner, role and limits.

    Prints the secret of the new key, once. Description and time of expiry are kept unless they are given.

    Example: polyrelay keys rotate key_1 --grace-period 1d
    """
    order = _order({**fields, "grace_period_s": _duration(grace_period)}, RotationOrder)
    rotated = _change(
        Action.KEY_ROTATE,
        lambda api_keys: api_keys.rotate(key, order),
        target=key,
        target_of=lambda rotated: rotated.old.id,
        detail={**fields, "grace_period": grace_period},
    )
    old = key_view(rotated.old, utc_now())
    validity = (
        f"is valid until {old.expires_at:%Y-%m-%dT%H:%M:%SZ}" if old.expires_at and not old.revoked_at else "is revoked"
    )
    _print_new(rotated.new, output_format, {"old": old}, f"The old key {validity}.")


@command.command(name="reencrypt")
@FORMAT
def reencrypt(output_format: str) -> None:
    """
    Encrypt all stored secrets with the first key of API_KEY_ENCRYPTION_KEY.

    To replace an encryption key: put the new one in front of the old one, with a comma between, and restart the API.
    Then run this command and delete the old one from API_KEY_ENCRYPTION_KEY.
    """
    count = _change(Action.KEY_REENCRYPT, lambda api_keys: api_keys.reencrypt())
    print_json({"reencrypted": count}) if output_format == "json" else click.echo(f"{count} secrets re-encrypted")


def _read(act: Callable[[ApiKeys], Awaitable[T]]) -> T:
    return _run(lambda api_keys, _: act(api_keys))


def _change(
    action: Action,
    act: Callable[[ApiKeys], Awaitable[T]],
    *,
    target: str | None = None,
    target_of: Callable[[T], str | None] = lambda _: None,
    detail: Mapping[str, Any] | None = None,
) -> T:
    """Run `act` on the API keys and write it to the audit log, as `audited` does."""
    given = {name: value for name, value in (detail or {}).items() if value is not None}
    return _run(
        lambda api_keys, audit: audited(
            audit, action, lambda: act(api_keys), target=target, target_of=target_of, detail=given
        )
    )


def _run(act: Callable[[ApiKeys, AuditLog], Awaitable[T]]) -> T:
    async def run() -> T:
        async with _stores() as (api_keys, audit):
            return await act(api_keys, audit)

    try:
        return asyncio.run(run())
    except InvalidRequest as error:
        raise Failed("; ".join(f"{problem.field}: {problem.message}" for problem in error.details)) from error
    except (PolyrelayError, ConfigurationError) as error:
        raise Failed(str(error)) from error


@asynccontextmanager
async def _stores() -> AsyncIterator[tuple[ApiKeys, AuditLog]]:
    from repositories.mongodb.audit import MongoAuditLog
    from repositories.mongodb.client import connect_mongo
    from repositories.mongodb.keys import MongoKeys

    settings = settings_or_exit()
    encryption_key = settings.api_key_encryption_key
    database = connect_mongo(settings.mongo_url)
    try:
        # Does not prepare the audit log: AUDIT_KEEP_DAYS of this environment may differ from that of the server.
        keys, audit = MongoKeys(database), MongoAuditLog(database)
        await keys.prepare()
        try:
            yield ApiKeys(keys, vault_of(encryption_key) if encryption_key else None, utc_now), audit
        finally:
            await audit.aclose()
    finally:
        database.client.close()


def _order(fields: Mapping[str, Any], kind: type[T]) -> T:
    """
    The given options as an order, checked with the rules of the API.

    Raises:
        Failed: An option is not valid.
    """
    try:
        return checked(fields, kind)  # type: ignore[type-var]
    except InvalidRequest as error:
        problem = error.details[0]
        raise Failed(f"--{problem.field.replace('_', '-')}={problem.value}: {problem.message}") from error


def _duration(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise Failed(f"--grace-period={text}: must be {error}") from error


def _print_new(new: NewKey, output_format: str, more: Mapping[str, Any], next_step: str) -> None:
    view = key_view(new.key, utc_now())
    if output_format == "json":
        print_json({**msgspec.to_builtins(view), "secret": new.secret.reveal(), **more})
    else:
        _print(view, output_format)
        click.echo(f"{'secret':<13}{new.secret.reveal()}")
    print_message(_SHOWN_ONCE.format(next_step=next_step))


def _print(view: KeyView, output_format: str) -> None:
    if output_format == "json":
        print_json(view)
        return
    for name, title in _FIELDS:
        value = getattr(view, name)
        if value not in {None, ""}:
            shown = value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value
            click.echo(f"{title:<13}{shown}")
