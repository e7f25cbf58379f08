"""Authentication and authorization of requests: the guard that runs before every handler."""

from typing import Final, cast
from urllib.parse import quote

import structlog
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import HTTPScope, Receive

from api.context import context_in, context_of
from api.metrics import Metrics
from api.requests import drain, read_body
from api.route_policy import RoutePolicy, SignatureReuse, policy_of
from api.signed_links import LINK_HOLDER, SignedLinks, is_link
from core.callers import ANYBODY, Caller
from core.clock import Clock
from core.errors import REPLAYED, Forbidden, PolyrelayError, ReplayedRequest, Unauthenticated
from core.request_signing import UNDECODABLE
from core.used_signatures import UsedSignatures
from services.access.authentication import Authenticate
from services.access.request_signatures import SPENT_FOR, SignedRequest

DRAINED_S: Final = 5.0
"""A refused caller's body is read for this time, in seconds; then the connection is closed."""

log = structlog.get_logger(__name__)


class AuthenticationGuard:
    """
    Authenticates the caller of each request, notes it in the request's context, and checks its role.

    Args:
        authenticate: Finds out who the caller is.
        used_signatures: Signatures that may not be used again.
        links: Verifies signed links to files.
        metrics: Counts refusals.
        clock: Time.
    """

    def __init__(
        self,
        authenticate: Authenticate,
        *,
        used_signatures: UsedSignatures,
        links: SignedLinks,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._authenticate = authenticate
        self._used_signatures = used_signatures
        self._links = links
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, call: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
        """
        As a guard of the framework.

        Raises:
            Unauthenticated: Or a subclass; the caller is not known.
            Forbidden: The caller's role does not allow the request.
            StoreUnavailable: API keys cannot be read.
        """
        scope, policy = cast(HTTPScope, call.scope), policy_of(handler)
        if policy.access is None or scope["method"] == "OPTIONS":  # which only lists methods
            return
        try:
            caller = await self._caller(scope, call.receive, policy)
            context_in(scope).caller = caller
            if not caller.role.includes(policy.access):
                raise Forbidden(f"this requires a key with the role {policy.access}; yours has the role {caller.role}")
            await self._refuse_replay(scope, caller, policy)
        except (Unauthenticated, Forbidden) as error:
            await self._refused(call, error)
            raise

    async def _caller(self, scope: HTTPScope, receive: Receive, policy: RoutePolicy) -> Caller:
        query = scope["query_string"]
        if policy.signed_link and is_link(query):
            if self._links.is_valid(scope["path"], query, now=self._clock()):
                return LINK_HOLDER
            if not any(name == b"authorization" for name, _ in scope["headers"]):
                raise Unauthenticated("the link has expired or is not valid; read the task again for a new one")
        return await self._authenticate(signed_request(scope), lambda: read_body(scope, receive))

    async def _refuse_replay(self, scope: HTTPScope, caller: Caller, policy: RoutePolicy) -> None:
        """Only POST requests are refused: repeating a read, a replacement or a deletion is safe."""
        reuse = policy.signature_reuse
        if caller.replay is None or scope["method"] != "POST" or reuse is SignatureReuse.ALLOWED:
            return
        if reuse is SignatureReuse.REFUSED_WITH_TASK:
            again = await self._used_signatures.spent(caller.replay)
        else:
            again = not await self._used_signatures.spend(caller.replay, until=self._clock() + SPENT_FOR)
        if again:
            raise ReplayedRequest(REPLAYED)

    async def _refused(self, call: ASGIConnection, error: PolyrelayError) -> None:  # type: ignore[type-arg]
        self._metrics.refused_caller(error.code)
        log.warning("request_unauthorized", code=error.code, path=call.scope["path"][:200])
        await drain(call.scope, call.receive, for_s=DRAINED_S)


async def no_authentication(call: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg]
    """The guard of a server with `AUTH=none`: every caller may do everything."""
    context_of(call).caller = ANYBODY


def signed_request(scope: HTTPScope) -> SignedRequest:
    """What of a request can be signed, as it was received."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("utf-8", UNDECODABLE)
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    raw_path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return SignedRequest(
        method=scope["method"],
        path=scope["path"],
        raw_path=raw_path.partition(b"?")[0].decode("utf-8", UNDECODABLE),
        query=scope["query_string"].decode("utf-8", UNDECODABLE),
        headers=headers,
    )
