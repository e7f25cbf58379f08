"""API key routes, for admins: the same as `polyrelay keys`."""

from typing import Annotated, Final

from litestar import Controller, Response, get, post
from msgspec import Meta, Struct

from api.context import Call, context_of, use_cases_of
from api.requests import DEEPEST_OFFSET, MOST_LISTED, Name, read_object, read_query
from api.route_policy import RoutePolicy, SignatureReuse, guarded_by
from api.views.tasks import Envelope
from core.audit import Action
from core.callers import Role
from core.keys import KeyQuery
from core.validation import checked
from services.access.api_keys import KeyOrder, NewKey, RotationOrder
from services.access.key_view import KeyView, key_view

PATH: Final = "/api/v1/admin/keys"
SHOWN_ONCE: Final = "The secret is shown only once; save it now."

Limit = Annotated[int, Meta(ge=1, le=MOST_LISTED, description="The most keys to return.")]
Offset = Annotated[int, Meta(ge=0, le=DEEPEST_OFFSET, description="Newest keys to skip.")]


class KeyListQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter and page of a list of keys."""

    owner: Name | None = None
    limit: Limit = 20
    offset: Offset = 0


class KeyList(Struct, frozen=True, kw_only=True):
    """One page of keys, newest first."""

    keys: list[KeyView]
    total: int
    limit: int
    offset: int


class MadeKey(Struct, frozen=True, kw_only=True):
    """A new key with its secret, and the key that it replaces, if any."""

    key: KeyView
    secret: str
    old: KeyView | None = None


def _policy(audit: Action | None, reuse: SignatureReuse = SignatureReuse.REFUSED) -> dict[str, RoutePolicy]:
    return guarded_by(RoutePolicy(access=Role.ADMIN, audit=audit, signature_reuse=reuse))


class KeyPages(Controller):
    """The routes of API keys."""

    path = PATH

    @post(opt=_policy(Action.KEY_CREATE))
    async def create(self, request: Call) -> Response[Envelope[MadeKey]]:
        """Create a key."""
        made = await use_cases_of(request).api_keys.create(checked(await read_object(request), KeyOrder))
        context_of(request).audit_target = made.key.id
        return _made(request, made)

    @get(opt=_policy(None))
    async def listed(self, request: Call) -> Envelope[KeyList]:
        """One page of keys."""
        query, use_cases = read_query(request, KeyListQuery), use_cases_of(request)
        page = await use_cases.api_keys.page(KeyQuery(owner=query.owner, limit=query.limit, offset=query.offset))
        keys = [key_view(key, use_cases.adapters.clock()) for key in page.keys]
        return Envelope(data=KeyList(keys=keys, total=page.total, limit=query.limit, offset=query.offset))

    @get("/{key_id:str}", opt=_policy(None))
    async def key(self, request: Call) -> Envelope[KeyView]:
        """One key, by its id or its access key."""
        use_cases = use_cases_of(request)
        return Envelope(data=key_view(await use_cases.api_keys.get(_id_of(request)), use_cases.adapters.clock()))

    @post("/{key_id:str}/revoke", status_code=200, opt=_policy(Action.KEY_REVOKE, SignatureReuse.ALLOWED))
    async def revoke(self, request: Call) -> Envelope[KeyView]:
        """Revoke a key for good."""
        use_cases = use_cases_of(request)
        key = await use_cases.api_keys.revoke(_id_of(request))
        return Envelope(
            data=key_view(key, use_cases.adapters.clock()), message="Every process refuses the key within 2 s."
        )

    @post("/{key_id:str}/rotate", opt=_policy(Action.KEY_ROTATE))
    async def rotate(self, request: Call) -> Response[Envelope[MadeKey]]:
        """Replace a key by a new one with the same owner, role and limits."""
        order = checked(await read_object(request) if await request.body() else {}, RotationOrder)
        use_cases = use_cases_of(request)
        rotated = await use_cases.api_keys.rotate(_id_of(request), order)
        return _made(request, rotated.new, key_view(rotated.old, use_cases.adapters.clock()))


def _made(request: Call, made: NewKey, old: KeyView | None = None) -> Response[Envelope[MadeKey]]:
    view = key_view(made.key, use_cases_of(request).adapters.clock())
    data = MadeKey(key=view, secret=made.secret.reveal(), old=old)
    headers = {"Location": f"{PATH}/{made.key.id}", "Cache-Control": "no-store"}
    return Response(Envelope(data=data, message=SHOWN_ONCE), status_code=201, headers=headers)


def _id_of(request: Call) -> str:
    return str(request.path_params["key_id"])
