"""Whatever a caller sends, it is the caller's mistake or a task."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import AsyncTestClient

from tests.unit.api.api_fixture import GOOD

Client = AsyncTestClient[Litestar]

_texts = st.text(max_size=30)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=10,
)
_names = st.sampled_from(["model", "user_id", "prompt", "size", "seed", "image_urls", "extra", "messages", "metadata"])
_near = st.dictionaries(_names | _texts, _values, max_size=6).map(lambda fields: {**GOOD, **fields})
_models = st.sampled_from([("image", "painter"), ("video", "filmer"), ("text", "writer")])
_any = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_any
@given(body=_values | _near, model=_models)
async def test_any_json_is_a_task_or_the_callers_mistake(client: Client, body: Any, model: tuple[str, str]) -> None:
    """Any JSON body gives 201 or a 4xx in the envelope, never a 500."""
    kind, name = model
    if isinstance(body, dict) and body.get("model") == GOOD["model"]:
        body = {**body, "model": name}
    response = await client.post(f"/api/v1/ai/{kind}/task", json=body)

    assert response.status_code in {201, 400, 413, 422, 503}, response.text
    assert (response.status_code == 503) == (response.json().get("error", {}).get("code") == "provider_unavailable")
    assert response.json()["success"] is (response.status_code == 201)


@_any
@given(body=st.binary(max_size=200))
async def test_any_bytes_are_a_task_or_the_callers_mistake(client: Client, body: bytes) -> None:
    """Any bytes give a 4xx."""
    response = await client.post("/api/v1/ai/image/task", content=body, headers={"Content-Type": "application/json"})

    assert 400 <= response.status_code < 500, response.text


@_any
@given(query=st.dictionaries(_texts | st.sampled_from(["limit", "offset", "after", "type"]), _texts, max_size=4))
async def test_any_query_is_a_list_or_the_callers_mistake(client: Client, query: dict[str, str]) -> None:
    """Any query gives 200 or 422."""
    response = await client.get("/api/v1/ai/tasks", params=query)

    assert response.status_code in {200, 422}, response.text
