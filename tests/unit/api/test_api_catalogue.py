"""The catalogue."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from msgspec import structs

from api.app import build_app
from core.registry import Registry
from core.settings import Settings
from polyrelay import Disabled, Model, Params, Provider, TaskType
from tests.unit.api.api_fixture import ApiFixture

Client = AsyncTestClient[Litestar]


async def models(client: Client, query: str = "") -> dict[str, Any]:
    """The models by name."""
    response = await client.get(f"/api/v1/ai/models?{query}")
    assert response.status_code == 200, response.text
    data = response.json()["data"]
    assert data["total"] == len(data["models"])
    return {model["name"]: model for model in data["models"]}


async def test_each_model_has_the_schema_of_its_params(client: Client) -> None:
    """A model says what it takes, how long it may take, and until when the vendor serves it."""
    found = await models(client)

    assert list(found) == ["painter", "filmer", "writer", "sculptor"]
    painter = found["painter"]
    assert (painter["provider"], painter["type"], painter["timeout_s"]) == ("lab", "image", 120)
    assert painter["description"] == "Paints."
    assert painter["params"]["required"] == ["prompt"]
    assert painter["params"]["properties"]["prompt"]["maxLength"] == 800
    assert found["writer"]["deprecated"] == "2026-03-01"
    assert "Message" in found["writer"]["params"]["$defs"]


async def test_a_model_without_credentials_says_why(client: Client) -> None:
    """What cannot take tasks is listed all the same, with the reason."""
    found = await models(client)

    assert (found["painter"]["available"], found["painter"]["reason"]) == (True, None)
    assert (found["sculptor"]["available"], found["sculptor"]["reason"]) == (False, "SHED_KEY is not set")


@pytest.mark.parametrize(
    ("query", "names"),
    [("provider=shed", ["sculptor"]), ("type=text", ["writer"]), ("provider=lab&type=video", ["filmer"])],
)
async def test_models_are_filtered(client: Client, query: str, names: list[str]) -> None:
    """By provider, by type, by both."""
    assert list(await models(client, query)) == names


@pytest.mark.parametrize(
    ("query", "code"),
    [("provider=nobody", "unknown_provider"), ("type=audio", "invalid_request"), ("kind=text", "invalid_request")],
)
async def test_a_wrong_filter_is_refused(client: Client, query: str, code: str) -> None:
    """An unknown provider, type or parameter is a 422 rather than an empty list."""
    response = await client.get(f"/api/v1/ai/models?{query}")

    assert (response.status_code, response.json()["error"]["code"]) == (422, code)


async def test_providers_name_their_plugin(client: Client) -> None:
    """Each provider says which package brought it; a plugin that failed is listed with its error."""
    data = (await client.get("/api/v1/ai/providers")).json()["data"]

    assert data["providers"] == [
        {
            "name": "lab",
            "plugin": "lab-plugin",
            "package": "lab-package",
            "version": "1.2.3",
            "models": 3,
            "available": True,
            "reason": None,
            "mode": "enabled",
            "mode_since": None,
            "mode_reason": None,
            "stalls": [],
        },
        {
            "name": "shed",
            "plugin": "lab-plugin",
            "package": "lab-package",
            "version": "1.2.3",
            "models": 1,
            "available": False,
            "reason": "SHED_KEY is not set",
            "mode": "enabled",
            "mode_since": None,
            "mode_reason": None,
            "stalls": [],
        },
    ]
    assert data["failed_plugins"] == [
        {
            "plugin": "broken",
            "package": "broken-package",
            "version": "0.1",
            "error": "ImportError: no module named lab9",
        }
    ]


class OddParams(Params, frozen=True, kw_only=True):
    """A plugin's params with a type that has no JSON Schema."""

    prompt: str
    value: complex = 0j


async def test_a_plugins_odd_params_do_not_hide_the_others(api: ApiFixture) -> None:
    """Params without a JSON Schema leave the catalogue and the documentation of the others alone."""
    odd = Model(name="odd", type=TaskType.TEXT, params=OddParams, timeout_s=1)
    registry = Registry([Provider("odd", [Disabled(models=[odd], reason="x")])])
    app = build_app(structs.replace(api.adapters(), registry=registry), Settings(auth="none"))
    async with AsyncTestClient(app) as client:
        assert (await models(client))["odd"]["params"] == {"type": "object"}
        assert (await client.get("/docs/openapi.json")).status_code == 200
