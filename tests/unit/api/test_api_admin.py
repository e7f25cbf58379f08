"""The operator's calls."""

from datetime import timedelta

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from msgspec import structs

from core.attempts import Failure
from core.registry import PluginReport
from polyrelay import TaskType
from tests.contracts.control import a_report
from tests.unit.api.api_fixture import GOOD, NOW, ApiFixture, a_task
from tests.unit.api.api_fixture import failed as failed_task

Client = AsyncTestClient[Litestar]
ADMIN = "/api/v1/admin"


@pytest.mark.parametrize(
    ("verb", "mode", "status"),
    [("drain", "draining", 503), ("disable", "disabled", 503), ("enable", "enabled", 201)],
)
async def test_a_switched_provider_takes_tasks_or_says_why(client: Client, verb: str, mode: str, status: int) -> None:
    """The answer has how, since when and why; creating is refused with that, or works."""
    response = await client.post(f"{ADMIN}/providers/lab/{verb}", json={"reason": "a test"})
    created = await client.post("/api/v1/ai/image/task", json=GOOD)

    assert response.status_code == 200
    assert response.json()["data"] == {
        "provider": "lab",
        "mode": mode,
        "since": "2026-01-31T12:00:00Z",
        "reason": "a test",
        "revision": 1,
    }
    assert created.status_code == status
    if status == 503:
        error = created.json()["error"]
        assert error["code"] == "provider_unavailable"
        assert error["message"] == f"lab takes no new tasks: it is {mode} since 2026-01-31 12:00:00 UTC (a test)"


async def test_a_switch_is_shown_in_catalogue_and_metrics(client: Client) -> None:
    """Provider and models are unavailable with the reason; the metric has 1 for the mode."""
    await client.post(f"{ADMIN}/providers/lab/disable")

    lab = (await client.get("/api/v1/ai/providers")).json()["data"]["providers"][0]
    models = (await client.get("/api/v1/ai/models?provider=lab")).json()["data"]["models"]
    metrics = (await client.get("/metrics")).text
    assert (lab["mode"], lab["mode_since"], lab["mode_reason"]) == ("disabled", "2026-01-31T12:00:00Z", None)
    assert lab["reason"] == "disabled since 2026-01-31 12:00:00 UTC"
    assert {(model["available"], model["reason"]) for model in models} == {(False, lab["reason"])}
    assert 'polyrelay_provider_mode{mode="disabled",provider="lab"} 1.0' in metrics
    assert 'polyrelay_provider_mode{mode="enabled",provider="shed"} 1.0' in metrics


async def test_a_task_with_an_open_fallback_is_taken(client: Client, api: ApiFixture) -> None:
    """Where its own provider is switched off; where both are, it is refused with both reasons."""
    other = next(provider for name, provider in api.registry.providers.items() if name == "lab")
    api.registry.providers = {**api.registry.providers, "spare": other}
    body = {**GOOD, "fallbacks": [{"provider": "spare", "model": "painter"}]}
    await client.post(f"{ADMIN}/providers/lab/disable")

    assert (await client.post("/api/v1/ai/image/task", json=body)).status_code == 201
    await client.post(f"{ADMIN}/providers/spare/drain")
    refused = await client.post("/api/v1/ai/image/task", json=body)
    assert refused.status_code == 503
    assert "disabled since" in refused.json()["message"]
    assert "draining since" in refused.json()["message"]


async def test_a_retry_counts_as_new(client: Client, api: ApiFixture) -> None:
    """A failed task of a draining provider is not taken up again."""
    task = await api.stored(failed_task(Failure(code="content_blocked", message="no")))
    await client.post(f"{ADMIN}/providers/lab/drain")

    assert (await client.post(f"/api/v1/ai/task/{task.id}/retry")).status_code == 503


async def test_open_tasks_are_left_alone(client: Client, api: ApiFixture) -> None:
    """What was accepted before is still there, pending."""
    task = await api.stored(a_task())
    await client.post(f"{ADMIN}/providers/lab/disable")

    assert (await client.get(f"/api/v1/ai/task/result/{task.id}")).json()["data"]["status"] == "pending"


async def test_an_unknown_provider_is_refused(client: Client, api: ApiFixture) -> None:
    """With those that there are; one that was switched once stays known, though its plugin is gone."""
    response = await client.post(f"{ADMIN}/providers/nobody/drain")
    assert (response.status_code, response.json()["error"]["code"]) == (422, "unknown_provider")
    assert "lab, shed" in response.json()["message"]

    await client.post(f"{ADMIN}/providers/lab/disable")
    api.registry.providers = {}
    assert (await client.post(f"{ADMIN}/providers/lab/enable")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("providers/lab/drain", {"why": "x"}),
        ("providers/lab/drain", {"reason": ""}),
        ("providers/lab/drain", {"reason": "x" * 301}),
        ("providers/reload", {"plugin": 7}),
    ],
)
async def test_a_wrong_body_is_refused(client: Client, api: ApiFixture, path: str, body: dict[str, object]) -> None:
    """And nothing is decided."""
    response = await client.post(f"{ADMIN}/{path}", json=body)

    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_request")
    assert (await api.control.read()).revision == 0


async def test_a_reload_is_requested_of_all(client: Client, api: ApiFixture) -> None:
    """The answer has the number that processes are to reach; a named plugin is forced."""
    assert (await client.post(f"{ADMIN}/providers/reload")).json()["data"] == {"generation": 1}
    response = await client.post(f"{ADMIN}/providers/reload", json={"plugin": "acme"})

    assert (response.status_code, response.json()["data"]) == (202, {"generation": 2})
    assert (await api.control.read()).forced == {"acme": 2}


async def test_processes_that_live_are_listed(client: Client, api: ApiFixture) -> None:
    """With what they run and follow; one that is silent for long is not."""
    await api.control.report(a_report("p1", seen=NOW, plugins=(PluginReport(name="acme", error="no"),)))
    await api.control.report(a_report("gone", seen=NOW - timedelta(minutes=1)))
    await client.post(f"{ADMIN}/providers/lab/drain")

    data = (await client.get(f"{ADMIN}/processes")).json()["data"]
    assert (data["total"], data["revision"], data["generation"]) == (1, 1, 0)
    (process,) = data["processes"]
    assert (process["id"], process["role"], process["generation"]) == ("p1", "worker", 2)
    assert process["plugins"][0]["error"] == "no"
    assert process["stalls"][0]["where"] == "acme:1 submit"


async def test_stalls_of_all_processes_are_shown_with_the_provider(client: Client, api: ApiFixture) -> None:
    """Whichever process saw it; without the database, providers are listed all the same."""
    stall = structs.replace(a_report().stalls[0], plugin="lab-plugin")
    await api.control.report(a_report("w1", seen=NOW, stalls=(stall,)))

    (shown,) = (await client.get("/api/v1/ai/providers")).json()["data"]["providers"][0]["stalls"]
    assert (shown["process"], shown["role"], shown["count"], shown["longest_s"]) == ("w1", "worker", 1, 2.5)
    api.control.reachable = False
    response = await client.get("/api/v1/ai/providers")
    assert (response.status_code, response.json()["data"]["providers"][0]["stalls"]) == (200, [])


async def test_without_the_database_nothing_is_decided(client: Client, api: ApiFixture) -> None:
    """The calls answer 503, to be tried again."""
    api.control.reachable = False

    for path in ("providers/lab/drain", "providers/reload"):
        response = await client.post(f"{ADMIN}/{path}")
        assert (response.status_code, response.json()["error"]["code"]) == (503, "store_unavailable")
    assert api.registry.route_for("lab", "painter", TaskType.IMAGE).switch is None
