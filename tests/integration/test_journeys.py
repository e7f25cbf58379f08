"""The code map: a create, a step and a relayed call pass exactly the modules that the page lists, on real servers."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pytest
from litestar import Litestar

from api.app import create_app
from cli.embedded.upstreams import VENDORS, simulated
from core.settings import Settings, read_settings
from core.task_states import State
from repositories.stores import api_stores
from services.runtime.control_sync import this_process
from simulator.process import SimulatorProcess
from tests.journeys import Call, modules, recorded, reentries
from worker.composition import composed

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "explanation" / "code-map.md"

MOST_IN_A_CREATE: Final = 18
MOST_IN_A_STEP: Final = 22
MOST_REENTRIES: Final = 2

VENDOR_SIDE: Final = ("polyrelay/", "providers/", "services/vendors/")
"""What a step calls behind the border to a plugin's code is the plugin's."""

AROUND_A_HANDLER: Final = ("api/middleware/request_log.py", "api/middleware/rate_limit.py")
"""They add headers to the response while the handler sends it."""

TEXT: Final = {"provider": "openai", "model": "gpt-5-mini", "user_id": "ada", "prompt": "Say hello."}
RELAYED: Final = {"req_key": "jimeng_t2i_v40", "prompt": "a fox"}
SUBMIT: Final = "/?Action=CVSync2AsyncSubmitTask&Version=2022-08-31"


@pytest.fixture
def settings(mongo_database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a whole server whose vendors are simulated. Periodic jobs do not run during a journey."""
    (tmp_path / ".env").touch()
    with SimulatorProcess("--latency-image", "0.02", "--latency-text", "0.02") as simulator:
        yield read_settings(
            {
                **simulated(VENDORS, simulator.url),
                "AUTH": "none",
                "LOG_LEVEL": "warning",
                "MONGO_URL": mongo_database_url,
                "REDIS_URL": redis_url,
                "RESULTS_URL": str(tmp_path / "results"),
                "PRIVATE_RESULT_HOSTS": "127.0.0.0/8",
            },
            dotenv=tmp_path / ".env",
        )


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Litestar]:
    """The API on its real adapters, started. No fixture: the task that starts it also has to end it."""
    app = create_app(settings)
    async with app.lifespan():
        yield app


def listed(journey: str) -> list[str]:
    """The modules that the page lists for a journey, in order."""
    section = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(journey)]
    return re.findall(r"^\d+\. `([\w/]+\.py)`", text, re.MULTILINE)


def assert_as_on_the_page(calls: Sequence[Call], journey: str, *, without: Sequence[str] = ()) -> None:
    """The calls pass the modules of the page's list, in its order, and none is re-entered too often."""
    assert modules(calls, without=without) == listed(journey)
    assert {module: count for module, count in reentries(calls).items() if count > MOST_REENTRIES} == {}


async def post(app: Litestar, path: str, body: dict[str, Any]) -> httpx.Response:
    """One request to the API in this process."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cast(Any, app)), base_url="http://here") as client:
        return await client.post(path, json=body, timeout=60)


def begins(module: str, function: str) -> Callable[[Call], bool]:
    """Whether a call is of that function, in a module whose path begins so."""
    return lambda call: call.module.startswith(module) and call.function.endswith(function)


async def test_a_create_passes_the_modules_of_the_page(settings: Settings) -> None:
    """From the route's handler to the acknowledged insert, in at most 18 modules."""
    async with served(settings) as app:
        assert (await post(app, "/api/v1/ai/text/task", TEXT)).status_code == 201  # connects, and loads scripts
        with recorded() as journey:
            assert (await post(app, "/api/v1/ai/text/task", TEXT)).status_code == 201

    calls = journey.between(begins("api/routes/task_create.py", "__call__"), begins("repositories/valkey", "wake"))
    assert_as_on_the_page(calls, "A create")
    assert len(modules(calls)) <= MOST_IN_A_CREATE


async def test_a_step_passes_the_modules_of_the_page(settings: Settings) -> None:
    """From the claim to the saved outcome of a text, in at most 22 modules without the vendor's."""
    async with served(settings) as app, composed(settings, this_process("worker")) as worker:
        tasks = api_stores(settings).tasks

        async def pending() -> str:
            created = await post(app, "/api/v1/ai/text/task", TEXT)
            return str(created.json()["data"]["task_id"])

        await worker.step(await pending(), "")  # connects, and loads scripts
        task_id = await pending()
        with recorded() as journey:
            await worker.step(task_id, "")
        assert (await tasks.get(task_id)).state is State.COMPLETED

    calls = journey.between(
        begins("services/execution/step.py", "__call__"), begins("services/execution/recorder.py", "_log_step")
    )
    assert_as_on_the_page(calls, "A step", without=VENDOR_SIDE)
    assert len(modules(calls, without=VENDOR_SIDE)) <= MOST_IN_A_STEP


async def test_a_relayed_call_passes_the_modules_of_the_page(settings: Settings) -> None:
    """From the route's handler to the response, while a worker does the step."""
    async with served(settings) as app, composed(settings, this_process("worker")) as worker:
        working = asyncio.create_task(worker.engine.run())
        assert (await post(app, SUBMIT, RELAYED)).status_code == 200
        with recorded() as journey:
            assert (await post(app, SUBMIT, RELAYED)).status_code == 200
        working.cancel()

    calls = journey.between(begins("api/routes/relay.py", ""), begins("api/middleware/request_log.py", ""))
    assert_as_on_the_page(calls, "A relayed submit", without=AROUND_A_HANDLER)
