"""Stands before every handler: who calls, and may they?"""

from typing import Final, cast
from urllib.parse import quote

import structlog
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import HTTPScope, Receive

from api.metrics import Metrics
from api.requests import drain, read_body
from api.roles import NOBODY, access_of
from api.signed_links import LINK_HOLDER, Links, is_link
from core.callers import ANYBODY, Caller
from core.clock import Clock
from core.errors import REPLAYED, Forbidden, PolyrelayError, ReplayedRequest, Unauthenticated
from core.request_signing import UNDECODABLE
from core.used_signatures import UsedSignatures
from services.access.authentication import Authenticate
from services.access.request_signatures import SPENT_FOR, SignedRequest

DRAINED_S: Final = 5.0
"""So long a refused caller may go on sending before the line is cut."""

log = structlog.get_logger(__name__)


class Guard:
    """
    Lets calls through, with their caller noted, or not.

    Args:
        authenticate: Tells who calls.
        replays: The signatures that were used up.
        links: Tells whether a link to a file is good.
        metrics: Where refusals are counted.
        clock: Time.
    """

    def __init__(
        self,
        authenticate: Authenticate,
        *,
        used_signatures: UsedSignatures,
        links: Links,
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
            Unauthenticated: Or a subclass; it is not known who calls.
            Forbidden: It is known, and they may not.
            StoreUnavailable: Nobody can be asked.
        """
        scope, needed = cast(HTTPScope, call.scope), access_of(handler.opt)
        if needed is None or scope["method"] == "OPTIONS":  # which says only what methods there are
            scope["state"]["caller"] = NOBODY
            return
        try:
            scope["state"]["caller"] = caller = await self._caller(scope, call.receive, handler)
            if not caller.role.includes(needed):
                raise Forbidden(f"this takes a key with the role {needed}; yours has the role {caller.role}")
            await self._refuse_replay(scope, caller, handler)
        except (Unauthenticated, Forbidden) as error:
            await self._refused(call, error)
            raise

    async def _caller(self, scope: HTTPScope, receive: Receive, handler: BaseRouteHandler) -> Caller:
        query = scope["query_string"]
        if handler.opt.get("linked") and is_link(query):
            if self._links.good(scope["path"], query, now=self._clock()):
                return LINK_HOLDER
            if not any(name == b"authorization" for name, _ in scope["headers"]):
                raise Unauthenticated("the link has expired, or is none of ours; read the task again for a new one")
        return await self._authenticate(signed_request(scope), lambda: read_body(scope, receive))

    async def _refuse_replay(self, scope: HTTPScope, caller: Caller, handler: BaseRouteHandler) -> None:
        """What is safe to do twice is not refused: reading, replacing, removing."""
        used_signatures = handler.opt.get("replays")
        if caller.replay is None or scope["method"] != "POST" or used_signatures == "harmless":
            return
        if used_signatures == "with the task":
            again = await self._used_signatures.spent(caller.replay)
        else:
            again = not await self._used_signatures.spend(caller.replay, until=self._clock() + SPENT_FOR)
        if again:
            raise ReplayedRequest(REPLAYED)

    async def _refused(self, call: ASGIConnection, error: PolyrelayError) -> None:  # type: ignore[type-arg]
        self._metrics.refused_caller(error.code)
        log.warning("request_unauthorized", code=error.code, path=call.scope["path"][:200])
        await drain(call.scope, call.receive, for_s=DRAINED_S)


async def everybody(call: ASGIConnection, _: BaseRouteHandler) -> None:  # type: ignore[type-arg]
    """The guard of a server that asks nobody who they are."""
    call.scope["state"].setdefault("caller", ANYBODY)


def signed_request(scope: HTTPScope) -> SignedRequest:
    """What of a request can be signed, as it came."""
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
