"""The API on in-memory adapters, driven through HTTP in process."""

from collections.abc import AsyncIterator

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from api.app import build_app
from core.settings import Settings
from tests.unit.api.api_fixture import ApiFixture, new_api_fixture

Client = AsyncTestClient[Litestar]


@pytest.fixture
def api() -> ApiFixture:
    """Empty in-memory adapters."""
    return new_api_fixture()


@pytest.fixture
async def client(api: ApiFixture) -> AsyncIterator[Client]:
    """A caller of the API on those adapters; bodies up to 64 KiB."""
    app = build_app(api.adapters(), Settings(auth="none", max_body_bytes=64 * 1024))
    async with AsyncTestClient(app, raise_server_exceptions=False) as caller:
        yield caller
