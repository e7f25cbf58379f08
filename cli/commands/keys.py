"""`polyrelay keys`: API keys, straight in MongoDB, so that the first one can be made before any API runs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
import rich_click as click
import structlog

from cli.output import FORMAT, Failed, print_json, print_table, report
from cli.recording import on_record
from cli.startup import settings_or_exit
from core.audit import Action, AuditLog
from core.callers import Role
from core.clock import utc_now
from core.errors import ConfigurationError, InvalidRequest, PolyrelayError
from core.keys import KeyQuery
from core.units import seconds
from core.validation import checked
from core.vault import vault_of
from services.access.api_keys import ApiKeys, KeyOrder, KeyView, NewKey, RotationOrder, key_view

T = TypeVar("T")

_SHOWN_ONCE: Final = "The secret is shown this once and stored encrypted; keep it now. {next_step}"
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
_DESCRIPTION: Final = click.option("--description", help="For people: who uses it, and where.")
_EXPIRES: Final = click.option(
    "--expires-at", metavar="TIME", help="Refused from then on, such as 2027-01-31T00:00:00Z.  [default: never]"
)
_COUNT: Final = click.IntRange(1, 1_000_000)


@click.group(name="keys")
def command() -> None:
    """
    Create, list, show, revoke and rotate API keys.

    Works on the database of MONGO_URL, with the API_KEY_ENCRYPTION_KEY of the API; no API has to run.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@command.command(name="create")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.APP.value,
    show_default=True,
    help="app: its own tasks. operator: everybody's tasks, users, and providers. admin: also keys and the audit log.",
)
@click.option("--owner", help="Keys of one owner see the same tasks.  [default: the key itself]")
@_DESCRIPTION
@_EXPIRES
@click.option("--requests-per-minute", type=_COUNT, help="Requests of any kind.  [default: no limit]")
@click.option("--max-concurrent", type=_COUNT, help="Its submissions open at once.  [default: no limit]")
@click.option("--max-queue", type=click.IntRange(0, 1_000_000), help="Its tasks that may wait.  [default: no limit]")
@FORMAT
def create(output_format: str, **fields: Any) -> None:
    """Create a key and print its secret, once."""
    order = _order(fields, KeyOrder)
    made = _change(
        Action.KEY_CREATE, lambda api_keys: api_keys.create(order), target_of=lambda made: made.key.id, detail=fields
    )
    _print_new(made, output_format, {}, "Use it as POLYRELAY_API_KEY, or as `Authorization: Bearer <secret>`.")


@command.command(name="list")
@click.option("--owner", help="Only those of this owner.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="At most so many.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Skip so many.")
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
    report(f"{len(views)} of {page.total}")


@command.command(name="show")
@click.argument("key")
@FORMAT
def show(key: str, output_format: str) -> None:
    """Show the key of that id or access key, without its secret."""
    found = _read(lambda api_keys: api_keys.get(key))
    _print(key_view(found, utc_now()), output_format)


@command.command(name="revoke")
@click.argument("key")
@FORMAT
def revoke(key: str, output_format: str) -> None:
    """Take back the key of that id or access key, for good. Every process refuses it within 2 s."""
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
    help="So long the old key goes on working, such as 5m or 1d; 0 revokes it at once.",
)
@_DESCRIPTION
@_EXPIRES
@FORMAT
def rotate(key: str, grace_period: str, output_format: str, **fields: Any) -> None:
    """
    Replace the key of that id or access key by a new one with the same owner, role and limits.

    What is not given stays as it was, the time of expiry included.
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
    ends = f"until {old.expires_at:%Y-%m-%dT%H:%M:%SZ}" if old.expires_at and not old.revoked_at else "no longer"
    _print_new(rotated.new, output_format, {"old": old}, f"The old key works {ends}.")


@command.command(name="reencrypt")
@FORMAT
def reencrypt(output_format: str) -> None:
    """
    Encrypt all secrets under the first key of API_KEY_ENCRYPTION_KEY.

    For a change of it: put the new one in front of the old one, restart the API, run this, then take the old one away.
    """
    count = _change(Action.KEY_REENCRYPT, lambda api_keys: api_keys.reencrypt())
    print_json({"reencrypted": count}) if output_format == "json" else click.echo(f"{count} secrets encrypted anew")


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
    """As `on_record`."""
    asked = {name: value for name, value in (detail or {}).items() if value is not None}
    return _run(
        lambda api_keys, audit: on_record(
            audit, action, lambda: act(api_keys), target=target, target_of=target_of, detail=asked
        )
    )


def _run(act: Callable[[ApiKeys, AuditLog], Awaitable[T]]) -> T:
    async def acted() -> T:
        async with _opened() as (api_keys, audit):
            return await act(api_keys, audit)

    try:
        return asyncio.run(acted())
    except InvalidRequest as error:
        raise Failed("; ".join(f"{problem.field}: {problem.message}" for problem in error.details)) from error
    except (PolyrelayError, ConfigurationError) as error:
        raise Failed(str(error)) from error


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[ApiKeys, AuditLog]]:
    from repositories.mongodb.audit import MongoAuditLog
    from repositories.mongodb.client import connect_mongo
    from repositories.mongodb.keys import MongoKeys

    settings = settings_or_exit()
    encryption_key = settings.api_key_encryption_key
    database = connect_mongo(settings.mongo_url)
    try:
        # The audit log as the server set it up: this environment may have another AUDIT_KEEP_DAYS, or none.
        keys, audit = MongoKeys(database), MongoAuditLog(database)
        await keys.prepare()
        try:
            yield ApiKeys(keys, vault_of(encryption_key) if encryption_key else None, utc_now), audit
        finally:
            await audit.aclose()
    finally:
        database.client.close()


def _order(fields: Mapping[str, Any], kind: type[T]) -> T:
    """The options that were given, as the API would take them."""
    try:
        return checked(fields, kind)  # type: ignore[type-var]
    except InvalidRequest as error:
        problem = error.details[0]
        raise Failed(f"--{problem.field.replace('_', '-')}={problem.value}: {problem.message}") from error


def _duration(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise Failed(f"--grace-period={text}: allowed is {error}") from error


def _print_new(made: NewKey, output_format: str, more: Mapping[str, Any], next_step: str) -> None:
    view = key_view(made.key, utc_now())
    if output_format == "json":
        print_json({**msgspec.to_builtins(view), "secret": made.secret.reveal(), **more})
    else:
        _print(view, output_format)
        click.echo(f"{'secret':<13}{made.secret.reveal()}")
    report(_SHOWN_ONCE.format(next_step=next_step))


def _print(view: KeyView, output_format: str) -> None:
    if output_format == "json":
        print_json(view)
        return
    for name, title in _FIELDS:
        value = getattr(view, name)
        if value not in {None, ""}:
            shown = value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value
            click.echo(f"{title:<13}{shown}")
