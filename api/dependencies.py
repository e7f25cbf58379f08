"""What the HTTP side is put together from."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from litestar import Request
from litestar.types import Scope
from msgspec import Struct

from api.metrics import Metrics
from api.signed_links import Links
from core.addresses import Network, client_address
from core.announcements import Announcements
from core.audit import AuditLog
from core.clock import Clock, utc_now
from core.control import ControlStore, Stall
from core.gates import Gates
from core.keys import Keys
from core.quotas import Quotas
from core.rates import Rates
from core.redaction import Redact
from core.registry import Registry
from core.result_store import ResultStore
from core.task_repository import TaskRepository
from core.used_signatures import UsedSignatures
from core.users import Users
from core.wakes import WakeQueue
from services.access.api_keys import ApiKeys
from services.access.users import UserDirectory
from services.relay.query import RelayQuery
from services.relay.submit import RelaySubmit
from services.tasks.cancel import CancelTask
from services.tasks.create import CreateTask
from services.tasks.delete import DeleteTask
from services.tasks.idempotency import Once
from services.tasks.retry import RetryTask

Call = Request[Any, Any, Any]


async def _nothing() -> None:
    """This process follows no decisions."""


class Adapters(Struct, frozen=True, kw_only=True):
    """
    The adapters that the API works with.

    Attributes:
        tasks: Where tasks are stored.
        queue: Wakes workers.
        results: Files of results.
        gates: Who waits for which vendor.
        quotas: How many tasks there are where that is bounded.
        rates: How many requests keys made.
        announcements: Tell that something happened to a task.
        registry: The providers.
        control: The operator's decisions.
        audit: What was done.
        keys: API keys.
        users: Users.
        replays: Signatures that were used up.
        clock: Time.
        process: Its name, for the audit log.
        follow: Follow what was decided, at once.
        stalls: What blocked this process's event loop.
    """

    tasks: TaskRepository
    queue: WakeQueue
    results: ResultStore
    gates: Gates
    quotas: Quotas
    rates: Rates
    announcements: Announcements
    registry: Registry
    control: ControlStore
    audit: AuditLog
    keys: Keys
    users: Users
    used_signatures: UsedSignatures
    clock: Clock = utc_now
    process: str = "api"
    follow: Callable[[], Awaitable[None]] = _nothing
    stalls: Callable[[], Sequence[Stall]] = tuple


class UseCases(Struct, frozen=True, kw_only=True):
    """
    What controllers use, made once per application.

    Attributes:
        public_url: The API's address in links, or None for that of the request.
        redact: What of a body may be kept on the audit log.
        proxies: Those whose word for whom they speak for is taken.
        links: Signs links to files.
        cabinet: Makes keys and takes them back.
        users: Keeps users.
    """

    adapters: Adapters
    create: CreateTask
    cancel: CancelTask
    retry: RetryTask
    delete: DeleteTask
    once: Once
    relay_submit: RelaySubmit
    relay_query: RelayQuery
    metrics: Metrics
    public_url: str | None
    redact: Redact
    links: Links
    api_keys: ApiKeys
    users: UserDirectory
    proxies: Sequence[Network] = ()

    def base_url(self, call: Call) -> str:
        """The API's address as this caller can reach it, without a slash at its end."""
        return self.public_url or str(call.base_url).rstrip("/")

    def source(self, scope: Scope) -> str | None:
        """The caller's address."""
        client = scope["client"]
        peer = client[0] if client is not None else None
        if not self.proxies:
            return peer
        named = [value.decode("latin-1") for key, value in scope["headers"] if key == b"x-forwarded-for"]
        return client_address(peer, ",".join(named), self.proxies)


def use_cases_of(call: Call) -> UseCases:
    """The use_cases of the application that handles the call."""
    return use_cases_in(call.scope)


def use_cases_in(scope: Scope) -> UseCases:
    """As `use_cases_of`."""
    return cast(UseCases, scope["litestar_app"].state.use_cases)
