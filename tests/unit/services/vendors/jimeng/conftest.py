"""A vendor with scripted answers, and the service that calls it."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from core.catalogue import read_catalogue
from polyrelay import Job, Secret
from services.vendors.jimeng import Jimeng, jimeng_http

CATALOGUE = Path(__file__).parents[5] / "providers" / "catalogue" / "jimeng.toml"


class Vendor:
    """Answers each request with `answer` and records the requests."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: httpx.Response | httpx.TransportError = httpx.Response(
            200, json={"code": 10000, "data": {"task_id": "7392616336519610409"}, "request_id": "r1"}
        )

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self.answer, httpx.TransportError):
            raise self.answer
        return httpx.Response(self.answer.status_code, headers=self.answer.headers, content=self.answer.content)

    def says(self, code: int, data: Any = None, *, status: int = 200, message: str = "Success") -> None:
        """An answer in the format of the service."""
        self.answer = httpx.Response(
            status, json={"code": code, "data": data, "message": message, "request_id": "r2", "status": code}
        )

    @property
    def action(self) -> str:
        """The Action of the last request."""
        return self.requests[-1].url.params["Action"]

    @property
    def body(self) -> Any:
        """The JSON of the last request."""
        return json.loads(self.requests[-1].content)


@pytest.fixture
def vendor() -> Vendor:
    """The vendor."""
    return Vendor()


@pytest.fixture
async def jimeng(vendor: Vendor) -> AsyncIterator[Jimeng]:
    """The service with all models of the catalogue."""
    http = jimeng_http(
        "https://visual.volcengineapi.com",
        Secret("AKLTpublic"),
        Secret("the-secret-key"),
        read_s=1,
        transport=httpx.MockTransport(vendor),
    )
    service = Jimeng(read_catalogue(CATALOGUE), http)
    yield service
    await service.aclose()


@pytest.fixture
def job_of(jimeng: Jimeng) -> Callable[..., Job[Any]]:
    """Creates a job from a model's name and the JSON that a caller sends."""
    models = {model.name: model for model in jimeng.models}

    def make(model: str, /, **fields: Any) -> Job[Any]:
        params = msgspec.json.decode(msgspec.json.encode(fields), type=models[model].params)
        return Job(task_id="t1", attempt=1, model=model, params=params, deadline=datetime(2030, 1, 1, tzinfo=UTC))

    return make
