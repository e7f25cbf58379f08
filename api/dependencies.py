"""What the API is composed of: the adapters, and the use cases on top of them."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from api.metrics import Metrics
from api.signed_links import SignedLinks
from core.addresses import Network
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
from services.tasks.retry import RetryTask


async def _nothing() -> None:
    """The process does not follow the operator's decisions."""


class Adapters(Struct, frozen=True, kw_only=True):
    """
    The adapters that the API works with.

    Attributes:
        tasks: The task repository.
        queue: The wake queue.
        results: The result store.
        gates: The gates of the vendors, with their wait queues.
        quotas: Counts tasks where their number is limited.
        rates: Counts the requests of each API key.
        announcements: Notifications about changed tasks, between processes.
        registry: The providers.
        control: The operator's decisions.
        audit: The audit log.
        keys: API keys.
        users: Users.
        used_signatures: Signatures that may not be used again.
        clock: Time.
        process: The name of this process, for the audit log.
        follow: Applies the operator's latest decisions to this process now.
        stalls: What has blocked the event loop of this process.
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


class RequestLimits(Struct, frozen=True, kw_only=True):
    """
    Limits of every request.

    Attributes:
        max_body_bytes: A longer body is refused.
        timeout_s: A body that is not complete after this time is refused, in seconds.
    """

    max_body_bytes: int
    timeout_s: float


class UseCases(Struct, frozen=True, kw_only=True):
    """
    What handlers use, made once per application.

    Attributes:
        public_url: The API's address in links, or None for the address of the request.
        redact: Cuts secrets and long texts from what the audit log stores.
        links: Signs links to files.
        proxies: Proxies whose `X-Forwarded-For` is trusted.
    """

    adapters: Adapters
    create: CreateTask
    cancel: CancelTask
    retry: RetryTask
    delete: DeleteTask
    relay_submit: RelaySubmit
    relay_query: RelayQuery
    api_keys: ApiKeys
    users: UserDirectory
    metrics: Metrics
    request_limits: RequestLimits
    public_url: str | None
    redact: Redact
    links: SignedLinks
    proxies: Sequence[Network] = ()
