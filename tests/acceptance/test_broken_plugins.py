"""Broken plugins beside the built-in providers, under load: the other providers work as without them."""

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx
import pytest

from cli.embedded.ports import free_port
from cli.embedded.processes import own_environment, own_module
from cli.embedded.stack import Inherited, Stack
from tests.acceptance.plugin_folder import ANSWERS, PluginFolder
from tests.acceptance.task_load import OPENAI, TaskLoad
from worker.main import MEMORY_EXIT

RATE = 15.0
BLOCKED_S = 10.0

IMPORT_ERROR: Final = "import its_sdk_that_is_not_there\n"
RAISING_HOOK: Final = ANSWERS.replace("    return [Provider", "    raise RuntimeError('no luck')\n    return [Provider")
DUPLICATE: Final = ANSWERS.replace("@name@", "openai")
DOUBLE_MODEL: Final = ANSWERS.replace("[Answers()]", "[Answers(), Answers()]")
EXITING: Final = "raise SystemExit('this plugin needs Windows')\n"
BLOCKING: Final = "import time\n" + ANSWERS.replace(
    "        return Pending", f"        time.sleep({BLOCKED_S})\n        return Pending"
)
LEAKING: Final = "KEPT = []\n" + ANSWERS.replace(
    "        return Pending", "        KEPT.append(bytearray(b'x' * 10_000_000))\n        return Pending"
)
ODD: Final = ANSWERS.replace(
    "        return Pending",
    "        raise (SystemExit(3), KeyboardInterrupt(), BaseException('?'))[len(job.params.prompt) % 3]\n"
    "        return Pending",
)
NONSENSE: Final = ANSWERS.replace("        return Done", "        return {'status': 'fine'}\n        return Done")

BROKEN: Final[Mapping[str, tuple[str, str]]] = {
    "unimported": (IMPORT_ERROR, "ModuleNotFoundError: No module named 'its_sdk_that_is_not_there'"),
    "raising": (RAISING_HOOK, "RuntimeError: no luck"),
    "twice": (DUPLICATE, "a provider named 'openai' is registered already"),
    "double": (DOUBLE_MODEL, "serves the model 'words' twice"),
    "exiting": (EXITING, "SystemExit: this plugin needs Windows"),
}
"""Plugins that cannot be loaded, and the reason that is reported."""


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    """The ports of the workers' metrics."""
    return free_port(), free_port()


@pytest.fixture(scope="module")
def broken_stack(tmp_path_factory: pytest.TempPathFactory, ports: tuple[int, int]) -> Iterator[Stack]:
    """An API and two workers, with every broken plugin installed."""
    folder = PluginFolder(tmp_path_factory.mktemp("broken"))
    for name, (source, _) in BROKEN.items():
        folder.install(name, "1.0", source)
    for name, source in {"blocking": BLOCKING, "leaking": LEAKING, "odd": ODD, "nonsense": NONSENSE}.items():
        folder.install(name, "1.0", source)
    python_path = os.pathsep.join((str(folder.path), os.environ.get("PYTHONPATH", "")))
    whole = Stack(
        tmp_path_factory.mktemp("broken-stack"),
        env={"POLL_SCALE": "0.05"},
        worker_env={f"worker-{number}": {"WORKER_PORT": str(port)} for number, port in enumerate(ports, 1)},
        inherited=Inherited(env={**os.environ, "PYTHONPATH": python_path}),
        workers=2,
        simulator_args=("--latency-text", "0.05"),
    )
    asyncio.run(whole.start())
    try:
        yield whole
    finally:
        asyncio.run(whole.stop())


async def test_broken_plugins_do_not_affect_other_providers(broken_stack: Stack, ports: tuple[int, int]) -> None:
    """All tasks of a built-in provider complete, and the API lists each broken plugin with the reason."""
    async with httpx.AsyncClient(base_url=broken_stack.api_url, trust_env=False, timeout=30.0) as http:
        load, done = TaskLoad(http), asyncio.Event()
        steady = asyncio.create_task(load.run(lambda _: OPENAI, rate=RATE, done=done))
        bad = TaskLoad(http)
        for number in range(6):
            await bad.create({"provider": "odd", "model": "words", "prompt": "x" * number or "?"})
            await bad.create({"provider": "leaking", "model": "words"})
        await bad.create({"provider": "nonsense", "model": "words", "deadline_s": 20})
        await bad.create({"provider": "blocking", "model": "words"})
        ended = {"bad": await bad.all_ended()}
        done.set()
        await steady
        ended["built-in"] = await load.all_ended()
        providers = (await http.get("/api/v1/ai/providers")).json()["data"]
        workers = [(await http.get(f"http://127.0.0.1:{port}/metrics")).text for port in ports]

    assert [task for _, task in ended["built-in"] if task["status"] != "completed"] == []
    assert {created.status for created in load.created} == {201}
    statuses = {created.body["provider"]: task["status"] for created, task in ended["bad"]}
    assert statuses == {"odd": "failed", "leaking": "completed", "nonsense": "failed", "blocking": "completed"}
    reasons = {task["error"]["message"] for created, task in ended["bad"] if created.body["provider"] == "odd"}
    raised = ("BaseException", "KeyboardInterrupt", "SystemExit")
    assert len(reasons) == len(raised)
    assert all(any(f"the provider plugin raised {name}" in reason for reason in reasons) for name in raised), reasons
    _check_report(providers)
    assert any('polyrelay_event_loop_blocked_total{plugin="blocking"} 1.0' in text for text in workers)
    assert all('polyrelay_plugin_failed{plugin="raising"} 1.0' in text for text in workers)
    log = "".join((broken_stack.folder / "logs" / f"worker-{number}.log").read_text("utf-8") for number in (1, 2))
    assert '"event": "event_loop_blocked"' in log
    assert '"event": "plugin_load_failed"' in log


def _check_report(providers: Mapping[str, Any]) -> None:
    failed = {plugin["plugin"]: plugin["error"] for plugin in providers["failed_plugins"]}
    assert set(failed) == set(BROKEN)
    assert all(reason in failed[name] for name, (_, reason) in BROKEN.items())
    by_name = {provider["name"]: provider for provider in providers["providers"]}
    assert by_name["openai"]["package"] == "polyrelay"
    assert by_name["openai"]["stalls"] == []
    (stall,) = by_name["blocking"]["stalls"]
    assert (stall["role"], stall["count"]) == ("worker", 1)
    assert stall["longest_s"] > BLOCKED_S / 2
    assert stall["where"].startswith("plugin_blocking:")
    assert stall["where"].endswith(" submit")


async def test_a_worker_over_its_memory_limit_stops_with_its_own_exit_code(broken_stack: Stack) -> None:
    """It stops in order with `MEMORY_EXIT`, so that a supervisor can start another."""
    servers = {"MONGO_URL": broken_stack.mongo_url, "REDIS_URL": broken_stack.redis_url}
    env = {**own_environment(os.environ), **servers, "WORKER_MAX_RSS": "32MiB"}
    worker = await asyncio.create_subprocess_exec(
        *own_module("cli", "worker"),
        env=env,
        cwd=broken_stack.folder,
        stderr=PIPE,
    )
    _, output = await asyncio.wait_for(worker.communicate(), 60)

    assert worker.returncode == MEMORY_EXIT
    assert b"memory_limit_exceeded" in output
    assert b"worker_stopped" in output
