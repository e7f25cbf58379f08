"""User routes, for operators."""

from datetime import datetime
from typing import Annotated, Final

from litestar import Controller, Response, delete, get, post, put
from msgspec import Meta, Struct

from api.context import Call, context_of, use_cases_of
from api.problems import field_problem
from api.requests import DEEPEST_OFFSET, MOST_LISTED, read_object, read_query
from api.route_policy import RoutePolicy, guarded_by
from api.views.tasks import Envelope
from core.audit import Action
from core.callers import Role
from core.users import User
from core.validation import checked, shown
from services.access.users import UserChange, UserOrder

PATH: Final = "/api/v1/users"

Address = Annotated[str, Meta(max_length=100, description="Return the user with this address instead of a page.")]
Limit = Annotated[int, Meta(ge=1, le=MOST_LISTED, description="The most users to return.")]
Offset = Annotated[int, Meta(ge=0, le=DEEPEST_OFFSET, description="Newest users to skip.")]


class UserQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter and page of a list of users."""

    email: Address | None = None
    limit: Limit | None = None
    offset: Offset | None = None


class UserView(Struct, frozen=True, kw_only=True):
    """A user."""

    id: str
    email: str
    name: str
    created: datetime
    updated: datetime


class UserList(Struct, frozen=True, kw_only=True):
    """One page of users, newest first."""

    users: list[UserView]
    total: int
    limit: int
    offset: int


def _policy(audit: Action | None) -> dict[str, RoutePolicy]:
    return guarded_by(RoutePolicy(access=Role.OPERATOR, audit=audit))


class UserPages(Controller):
    """The routes of users."""

    path = PATH

    @post(opt=_policy(Action.USER_CREATE))
    async def create(self, request: Call) -> Response[Envelope[UserView]]:
        """Create a user."""
        user = await use_cases_of(request).users.create(checked(await read_object(request), UserOrder))
        context_of(request).audit_target = user.id
        answer = Envelope(data=user_view(user), message="The user was created.")
        return Response(answer, status_code=201, headers={"Location": f"{PATH}/{user.id}"})

    @get(opt=_policy(None))
    async def listed(self, request: Call) -> Envelope[UserList | UserView]:
        """One page of users; or the user with an address, as `data` itself."""
        query, users = read_query(request, UserQuery), use_cases_of(request).users
        if query.email is not None:
            if query.limit is not None or query.offset is not None:
                raise field_problem("email", "Allowed without limit and offset: it finds one user.", shown(query.email))
            return Envelope(data=user_view(await users.of_email(query.email)))
        limit, offset = query.limit or 20, query.offset or 0
        page = await users.page(limit=limit, offset=offset)
        return Envelope(
            data=UserList(users=list(map(user_view, page.users)), total=page.total, limit=limit, offset=offset)
        )

    @get("/{user_id:str}", opt=_policy(None))
    async def user(self, request: Call) -> Envelope[UserView]:
        """One user."""
        return Envelope(data=user_view(await use_cases_of(request).users.get(_id_of(request))))

    @put("/{user_id:str}", opt=_policy(Action.USER_UPDATE))
    async def change(self, request: Call) -> Envelope[UserView]:
        """Change a user; what is not given stays as it is."""
        change = checked(await read_object(request), UserChange)
        user = await use_cases_of(request).users.change(_id_of(request), change)
        return Envelope(data=user_view(user), message="The user was changed.")

    @delete("/{user_id:str}", status_code=200, opt=_policy(Action.USER_DELETE))
    async def remove(self, request: Call) -> Envelope[UserView]:
        """Delete a user; tasks that name it stay."""
        user = await use_cases_of(request).users.delete(_id_of(request))
        return Envelope(data=user_view(user), message="The user was deleted. Tasks that name it stay.")


def user_view(user: User) -> UserView:
    """A user as the API returns it."""
    return UserView(id=user.id, email=user.email, name=user.name, created=user.created, updated=user.updated)


def _id_of(request: Call) -> str:
    return str(request.path_params["user_id"])
