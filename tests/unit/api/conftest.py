"""The API on memory twins, driven through HTTP in process."""

from collections.abc import AsyncIterator

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from api.app import build_app
from core.settings import Settings
from tests.unit.api.api_fixture import Lab, new_lab

Client = AsyncTestClient[Litestar]


@pytest.fixture
def lab() -> Lab:
    """Empty twins."""
    return new_lab()


@pytest.fixture
async def client(lab: Lab) -> AsyncIterator[Client]:
    """A caller of the API on those twins; bodies up to 64 KiB."""
    app = build_app(lab.parts(), Settings(auth="none", max_body_bytes=64 * 1024))
    async with AsyncTestClient(app, raise_server_exceptions=False) as caller:
        yield caller
