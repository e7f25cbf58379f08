"""A server that asks who calls, and the callers that there are."""

import base64
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from litestar import Litestar
from litestar.testing import AsyncTestClient
from msgspec import Struct

from api.app import build_app
from core.callers import Role
from core.settings import Settings
from core.vault import vault_of
from polyrelay import Secret
from services.access.api_keys import ApiKeys, KeyOrder, NewKey
from services.vendors.jimeng.signing import Credentials, Unsigned, signature_headers
from tests.unit.api.api_fixture import NOW, ApiFixture

Client = AsyncTestClient[Litestar]

ENCRYPTION_KEY: Final = Secret(base64.b64encode(bytes(range(32))).decode())
ASKING: Final = Settings(auth="required", api_key_encryption_key=ENCRYPTION_KEY, max_body_bytes=64 * 1024)
OWNER: Final = "shop"
"""Whose tasks there are."""
HOST: Final = "testserver.local"


class Who(StrEnum):
    """Every kind of caller."""

    NOBODY = "without a key"
    STRANGER = "with a wrong secret"
    APP = "the app whose task it is"
    OTHER = "another app"
    OPERATOR = "an operator"
    ADMIN = "an admin"


class Callers(Struct, frozen=True, kw_only=True):
    """The keys of those who have one."""

    keys: Mapping[Who, NewKey]

    def headers(self, who: Who) -> dict[str, str]:
        """How they say who they are."""
        if who is Who.NOBODY:
            return {}
        secret = self.keys[who].secret.reveal() if who in self.keys else "sk_wrong"
        return {"Authorization": f"Bearer {secret}"}

    def credentials(self, who: Who) -> Credentials:
        """What they sign with."""
        made = self.keys[who]
        return Credentials(access_key=Secret(made.key.access_key), secret_key=made.secret)


def api_keys_of(api: ApiFixture) -> ApiKeys:
    """Creates API keys in those adapters."""
    return ApiKeys(api.keys, vault_of(ENCRYPTION_KEY), lambda: NOW)


async def callers_of(api: ApiFixture) -> Callers:
    """A key for each kind of caller that has one."""
    api_keys = api_keys_of(api)
    orders = {
        Who.APP: KeyOrder(owner=OWNER),
        Who.OTHER: KeyOrder(),
        Who.OPERATOR: KeyOrder(role=Role.OPERATOR),
        Who.ADMIN: KeyOrder(role=Role.ADMIN),
    }
    return Callers(keys={who: await api_keys.create(order) for who, order in orders.items()})


def asking(api: ApiFixture) -> Client:
    """A caller of a server with `AUTH=required` on those adapters."""
    return AsyncTestClient(build_app(api.adapters(), ASKING), raise_server_exceptions=False)


def signed(
    method: str, target: str, credentials: Credentials, *, body: bytes = b"", at: datetime = NOW
) -> dict[str, str]:
    """The headers of a request that is signed as Volcengine's clients sign."""
    headers = {"Host": HOST, "Content-Type": "application/json"}
    parts = urlsplit(target)
    unsigned = Unsigned(
        method=method,
        path=parts.path,
        query=parse_qsl(parts.query, keep_blank_values=True),
        headers=headers,
        body=body,
    )
    return {**headers, **signature_headers(unsigned, credentials, at=at)}
