"""Request ids, logs, metrics and health."""

import re

import pytest
import structlog
from litestar import Litestar
from litestar.testing import AsyncTestClient

from core.gates import Gate, Ticket
from core.priorities import Priority
from tests.unit.api.api_fixture import GOOD, NOW, ApiFixture, a_task

Client = AsyncTestClient[Litestar]


async def test_the_callers_request_id_is_taken_over(client: Client) -> None:
    """A plain X-Request-Id comes back as it was."""
    response = await client.get("/health", headers={"X-Request-Id": "order-4711.a:b_c"})

    assert response.headers["x-request-id"] == "order-4711.a:b_c"


@pytest.mark.parametrize("text", ["", "a b", "x" * 129, 'a"b', "ä".encode().decode("latin-1")])
async def test_a_strange_request_id_is_replaced(client: Client, text: str) -> None:
    """An id with unsafe characters is replaced by a new one."""
    response = await client.get("/health", headers={b"X-Request-Id": text.encode("latin-1")})

    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


async def test_every_answer_has_a_request_id(client: Client) -> None:
    """Also what finds no route."""
    ids = {(await client.get(path)).headers["x-request-id"] for path in ("/health", "/nothing", "/api/v1/ai/tasks")}

    assert len(ids) == 3


async def test_one_line_is_logged_for_a_request(client: Client) -> None:
    """The line has the method, path, status, duration and the task; the body and the query stay out."""
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        await client.post("/api/v1/ai/image/task", json=GOOD, headers={"X-Request-Id": "r-1"})
        await client.get("/api/v1/ai/tasks?user_id=secret")

    assert [(line["event"], line["log_level"], line["status"]) for line in lines] == [
        ("request_handled", "info", 201),
        ("request_handled", "info", 200),
    ]
    assert lines[0]["request_id"] == "r-1"
    assert lines[0]["task_id"].startswith("task_")
    assert (lines[0]["method"], lines[0]["path"]) == ("POST", "/api/v1/ai/image/task")
    assert lines[0]["duration_ms"] >= 0
    assert "fox" not in repr(lines)
    assert "secret" not in repr(lines)
    assert "task_id" not in lines[1]


async def test_requests_are_counted_by_route_and_status(client: Client) -> None:
    """Metrics name the route's template, never the path, so that their number stays small."""
    await client.post("/api/v1/ai/image/task", json=GOOD)
    await client.post("/api/v1/ai/image/task", json={})
    await client.get("/api/v1/ai/task/result/" + "x" * 20)
    await client.get("/nothing/at/all")
    await client.request("BREW", "/health")

    response = await client.get("/metrics")

    text = response.text
    assert response.headers["content-type"].startswith("text/plain")
    route = 'method="POST",route="/api/v1/ai/image/task"'
    assert f'polyrelay_http_requests_total{{{route},status="201"}} 1.0' in text
    assert f'polyrelay_http_requests_total{{{route},status="422"}} 1.0' in text
    assert f"polyrelay_http_request_duration_seconds_count{{{route}}} 2.0" in text
    assert 'route="/api/v1/ai/task/result/{task_id}",status="404"' in text
    assert 'route="none",status="404"' in text
    assert 'polyrelay_tasks_created_total{model="painter",provider="lab",type="image"} 1.0' in text
    assert "xxxx" not in text
    assert "BREW" not in text


async def test_health_asks_nobody(client: Client, api: ApiFixture) -> None:
    """`/health` is good as long as the process answers, whatever else is down."""
    api.tasks.reachable = api.queue.reachable = api.results.reachable = False

    response = await client.get("/health")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_ready_asks_every_dependency(client: Client) -> None:
    """`/ready` is good when all of them answer."""
    response = await client.get("/ready")

    good = {"ok": True, "error": None}
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "dependencies": {"mongodb": good, "queue": good, "results": good}}


@pytest.mark.parametrize(("part", "name"), [("tasks", "mongodb"), ("queue", "queue"), ("results", "results")])
async def test_ready_names_what_is_unavailable(client: Client, api: ApiFixture, part: str, name: str) -> None:
    """One dependency that does not answer makes `/ready` a 503 that names it and why."""
    getattr(api, part).reachable = False

    response = await client.get("/ready")

    answer = response.json()
    assert (response.status_code, answer["status"]) == (503, "unavailable")
    assert [key for key, found in answer["dependencies"].items() if not found["ok"]] == [name]
    assert "unreachable" in answer["dependencies"][name]["error"]


async def test_gates_and_circuit_breakers_are_shown(client: Client, api: ApiFixture) -> None:
    """What is held, who waits, the limit and the circuit's state; gates of single users are left out."""
    gates = (Gate(name="model:lab/painter", limit=1), Gate(name="user:ada", limit=9))
    for number in (1, 2):
        task = a_task()
        await api.gates.enter(
            Ticket(
                task_id=f"{task.id}-{number}",
                account="lab",
                gates=gates,
                priority=Priority.DEFAULT,
                since=NOW,
                held_until=task.deadline,
            )
        )

    text = (await client.get("/metrics")).text

    assert 'polyrelay_gate_held{gate="model:lab/painter"} 1.0' in text
    assert 'polyrelay_gate_line{gate="model:lab/painter"} 1.0' in text
    assert 'polyrelay_gate_limit{gate="model:lab/painter"} 1.0' in text
    assert 'polyrelay_circuit_state{account="lab",state="closed"} 1.0' in text
    assert 'polyrelay_circuit_state{account="lab",state="open"} 0.0' in text
    assert "user:ada" not in text


async def test_without_redis_the_other_metrics_are_there(client: Client, api: ApiFixture) -> None:
    """A scrape does not fail for what cannot be asked just now."""
    api.gates.reachable = False

    response = await client.get("/metrics")

    assert response.status_code == 200
    assert "polyrelay_http_requests" in response.text
    assert "polyrelay_gate_held" not in response.text
