"""Composes the API's use cases and guards from adapters and settings. `api.app` opens the adapters."""

from collections.abc import Sequence

from litestar.types import Guard

from api.dependencies import Adapters, RequestLimits, UseCases
from api.metrics import Metrics
from api.middleware.audit import audit_guard
from api.middleware.authentication import AuthenticationGuard, no_authentication
from api.middleware.rate_limit import RateLimitGuard
from api.signed_links import SignedLinks
from core.bind_check import vault_for
from core.callers import KeyLimits
from core.errors import ConfigurationError
from core.redaction import redaction
from core.settings import Settings, secrets_of
from core.vault import NO_ENCRYPTION_KEY, Vault
from services.access.api_keys import ApiKeys
from services.access.authentication import Authenticate
from services.access.key_cache import KeyCache
from services.access.users import UserDirectory
from services.execution.vendor_audit import VendorCalls
from services.limits.rate_limiter import RateLimiter
from services.limits.task_quotas import QuotaLimits, TaskQuotas
from services.relay.query import RelayQuery
from services.relay.submit import RelaySubmit, RelayTimeouts
from services.tasks.cancel import CancelTask
from services.tasks.create import CreateTask
from services.tasks.delete import DeleteTask
from services.tasks.retry import RetryTask


def use_cases_on(adapters: Adapters, settings: Settings) -> UseCases:
    """
    The use cases on those adapters.

    Raises:
        ConfigurationError: A setting cannot be used.
    """
    tasks, queue, registry, clock = adapters.tasks, adapters.queue, adapters.registry, adapters.clock
    vault, redact = vault_for(settings), redaction(secrets_of(settings))
    need_queue = None if settings.accept_without_queue else queue.ping
    task_quotas = TaskQuotas(adapters.quotas, tasks, _quota_limits(settings), need_queue=need_queue)
    create = CreateTask(tasks, queue, registry, clock, task_quotas, redact=redact)
    cancel = CancelTask(tasks=tasks, queue=queue, gates=adapters.gates, quotas=adapters.quotas, clock=clock)
    return UseCases(
        adapters=adapters,
        create=create,
        cancel=cancel,
        retry=RetryTask(tasks, queue, registry, clock, task_quotas),
        delete=DeleteTask(
            tasks=tasks,
            results=adapters.results,
            registry=registry,
            queue=queue,
            gates=adapters.gates,
            quotas=adapters.quotas,
            calls=VendorCalls(adapters.audit, clock=clock, source=adapters.process, redact=redact),
            used_signatures=adapters.used_signatures,
            clock=clock,
        ),
        relay_submit=RelaySubmit(
            tasks=tasks,
            create=create,
            registry=registry,
            announcements=adapters.announcements,
            cancel=cancel,
            store=adapters.results,
            timeouts=RelayTimeouts(submit_s=settings.relay_patience_s, answer_s=settings.ai_timeout_s),
        ),
        relay_query=RelayQuery(tasks=tasks, registry=registry, store=adapters.results),
        api_keys=ApiKeys(adapters.keys, vault, clock),
        users=UserDirectory(adapters.users, clock),
        metrics=Metrics(),
        request_limits=RequestLimits(max_body_bytes=settings.max_body_bytes, timeout_s=settings.request_timeout_s),
        public_url=settings.public_url,
        redact=redact,
        links=_signed_links(vault, settings),
        proxies=settings.trusted_proxies or (),
    )


def guards_for(use_cases: UseCases, settings: Settings) -> Sequence[Guard]:
    """
    The guards of every route, in order: they authenticate the caller, count the request, and write its audit row.

    Raises:
        ConfigurationError: A setting cannot be used.
    """
    adapters = use_cases.adapters
    authentication = _authentication_guard(use_cases, settings) if settings.auth == "required" else no_authentication
    rate_limiter = RateLimiter(adapters.rates, _key_limits(settings), adapters.clock)
    return [authentication, RateLimitGuard(rate_limiter), audit_guard]


def _authentication_guard(use_cases: UseCases, settings: Settings) -> AuthenticationGuard:
    vault, adapters = vault_for(settings), use_cases.adapters
    if vault is None:
        raise ConfigurationError(NO_ENCRYPTION_KEY)
    return AuthenticationGuard(
        Authenticate(KeyCache(adapters.keys), vault, adapters.clock),
        used_signatures=adapters.used_signatures,
        links=use_cases.links,
        metrics=use_cases.metrics,
        clock=adapters.clock,
    )


def _signed_links(vault: Vault | None, settings: Settings) -> SignedLinks:
    return SignedLinks(vault.derived("links to files") if vault is not None and settings.auth == "required" else ())


def _quota_limits(settings: Settings) -> QuotaLimits:
    return QuotaLimits(
        slots=settings.upstream_max_concurrent or {},
        queue=settings.upstream_max_queue,
        key=_key_limits(settings),
    )


def _key_limits(settings: Settings) -> KeyLimits:
    return KeyLimits(
        requests_per_minute=settings.key_requests_per_minute,
        max_concurrent=settings.key_max_concurrent,
        max_queue=settings.key_max_queue,
    )
