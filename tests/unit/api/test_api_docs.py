"""The API's own documentation."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from msgspec import structs

from api.app import build_app
from api.openapi.examples import EXAMPLES
from core.registry import Registry
from core.settings import Settings
from polyrelay import Env
from providers import openai, volcengine
from tests.unit.api.api_fixture import ApiFixture

Client = AsyncTestClient[Litestar]


def all_vendors() -> Registry:
    """The built-in providers, as if all keys were set."""
    names = ("ARK_API_KEY", "VOLCENGINE_ACCESS_KEY", "VOLCENGINE_SECRET_KEY", "OPENAI_API_KEY")
    env = Env(dict.fromkeys(names, "key"))
    return Registry([*volcengine.register_providers(env), *openai.register_providers(env)])


async def described(client: Client) -> dict[str, Any]:
    """The OpenAPI description."""
    response = await client.get("/docs/openapi.json")
    assert response.headers["content-type"] == "application/json"
    document: dict[str, Any] = response.json()
    return document


async def test_the_page_needs_no_internet(client: Client) -> None:
    """The page and what it loads come from this server."""
    page = await client.get("/docs")

    assert page.headers["content-type"].startswith("text/html")
    assert "//" not in page.text.replace("<!--", "")
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        asset = await client.get(path)
        assert (asset.status_code, len(asset.content) > 10_000) == (200, True), path
    assert (await client.get("/docs/assets/other.js")).status_code == 404


async def test_the_description_has_every_route_and_no_other(client: Client) -> None:
    """What is served is described, method by method, and the other way round."""
    document = await described(client)

    shown = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    served = {
        (method, re.sub(r":\w+", "", route.path))
        for route in client.app.routes
        for method in getattr(route, "methods", ())
        if method != "OPTIONS" and not route.path.startswith("/docs")
    }
    assert shown == served


async def test_every_reference_leads_to_a_schema(client: Client) -> None:
    """No `$ref` hangs in the air."""
    document = await described(client)

    references = set(re.findall(r'"\$ref":\s*"([^"]+)"', (await client.get("/docs/openapi.json")).text))
    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"], reference


async def test_a_create_body_is_described_for_each_model(client: Client) -> None:
    """The flat body of a model has the fields of every task beside the model's own, and nothing else."""
    document = await described(client)

    body = document["components"]["schemas"]["lab.painter"]
    assert set(body["properties"]) == {
        "user_id", "provider", "model", "fallbacks", "priority", "deadline_s", "metadata",
        "prompt", "size", "seed", "image_urls", "extra",
    }  # fmt: skip
    assert body["required"] == ["user_id", "provider", "model", "prompt"]
    assert body["properties"]["model"] == {"const": "painter"}
    assert body["additionalProperties"] is False


async def test_every_call_describes_what_may_go_wrong(client: Client) -> None:
    """Each call under /api names at least one error answer, in the envelope."""
    document = await described(client)

    for path, methods in document["paths"].items():
        for operation in methods.values():
            wrong = [status for status in operation["responses"] if status >= "400"]
            assert wrong or not path.startswith("/api"), path
            assert operation["summary"]
            assert operation["operationId"]


def page_bodies() -> list[dict[str, Any]]:
    """The create bodies that the reference page shows."""
    page = (Path(__file__).parents[3] / "docs" / "reference" / "api.md").read_text("utf-8")
    blocks = re.findall(r"(?:```json\n|-d ')(\{.*?\})(?='|\n```)", page, re.DOTALL)
    bodies = [json.loads(block) for block in blocks]
    return [body for body in bodies if "prompt" in body]


def test_the_page_shows_a_task_with_fallbacks() -> None:
    """Beside plain ones."""
    assert [len(body.get("fallbacks", ())) for body in page_bodies()] == [0, 0, 1]


@pytest.mark.parametrize("body", page_bodies(), ids=lambda body: f"{len(body)}-fields")
async def test_the_bodies_of_the_page_are_accepted(api: ApiFixture, body: dict[str, Any]) -> None:
    """Each example, copied, creates a task."""
    registry = all_vendors()
    app = build_app(structs.replace(api.adapters(), registry=registry), Settings(auth="none"))
    async with AsyncTestClient(app) as client:
        response = await client.post("/api/v1/ai/image/task", json=body)

    assert response.status_code == 201, response.text
    await registry.aclose()


@pytest.mark.parametrize("example", [body for bodies in EXAMPLES.values() for body in bodies], ids=lambda b: b["model"])
async def test_the_examples_are_accepted(api: ApiFixture, example: dict[str, Any]) -> None:
    """Each example of the documentation is a body that its model takes as it stands."""
    registry = all_vendors()
    kind = registry.route(example["provider"], example["model"]).model.type
    parts = api.adapters()
    app = build_app(
        structs.replace(parts, registry=registry),
        Settings(auth="none"),
    )
    async with AsyncTestClient(app) as client:
        response = await client.post(f"/api/v1/ai/{kind.value}/task", json=example)
        shown = (await described(client))["paths"][f"/api/v1/ai/{kind.value}/task"]["post"]["requestBody"]

    assert response.status_code == 201, response.text
    assert shown["content"]["application/json"]["examples"][example["model"]]["value"] == example
    await registry.aclose()
