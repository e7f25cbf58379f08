"""Switches of providers, and plugins that are installed, changed and uninstalled, on a running server under load."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from cli.embedded.processes import own_module
from cli.embedded.stack import Inherited, Stack
from tests.acceptance.plugin_folder import PluginFolder
from tests.acceptance.task_load import OPENAI, TaskLoad

LONG = bool(os.environ.get("CHAOS_LONG"))
RATE = 100.0 if LONG else 30.0
"""Creates a second."""
PAUSE_S = 3.2 if LONG else 0.5
"""Seconds between two actions of the operator."""
SWITCH_S = 2.0
PROCESSES = 4
"""Two API processes and two workers. The stack is ready when the first API process answers."""
ADMIN = "/api/v1/admin"
SWAP = {"provider": "swap", "model": "words"}
BROKEN = "raise ImportError('no module named acme_sdk')\n"


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> PluginFolder:
    """A folder with one installed plugin."""
    folder = PluginFolder(tmp_path_factory.mktemp("plugins"))
    folder.install("swap", "1.0")
    return folder


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, plugins: PluginFolder) -> Iterator[Stack]:
    """Two API processes and two workers with that folder in their path."""
    base = {**os.environ, "PYTHONPATH": os.pathsep.join((str(plugins.path), os.environ.get("PYTHONPATH", "")))}
    whole = Stack(
        tmp_path_factory.mktemp("live"),
        env={"POLL_SCALE": "0.05", "API_PROCESSES": "2"},
        inherited=Inherited(env=base),
        workers=2,
        simulator_args=("--latency-text", "0.05"),
    )
    asyncio.run(whole.start())
    try:
        yield whole
    finally:
        asyncio.run(whole.stop())


@asynccontextmanager
async def http_of(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API."""
    async with httpx.AsyncClient(base_url=stack.api_url, trust_env=False, timeout=30.0) as http:
        yield http


class Operator:
    """
    Switches providers and reloads plugins over the API, and waits until all processes have applied the change.

    Attributes:
        off: For each provider, the times in which it was off: from before the call that switched it off until all
            processes have applied the one that switched it on.
        times: The seconds until all processes have applied each change.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.off: dict[str, list[tuple[float, float]]] = {}
        self.times: list[tuple[str, float]] = []

    async def switch(self, verb: str, provider: str) -> None:
        """Switch the provider; returns when all processes have applied it."""
        began = time.monotonic()
        answer = await self._http.post(f"{ADMIN}/providers/{provider}/{verb}", json={"reason": "a test"})
        await seen_by_all(self._http, "revision", answer.json()["data"]["revision"])
        self.times.append((verb, round(time.monotonic() - began, 2)))

    async def reload(self) -> list[dict[str, Any]]:
        """Reload plugins; returns the processes once all have reloaded."""
        began = time.monotonic()
        answer = await self._http.post(f"{ADMIN}/providers/reload")
        processes = await seen_by_all(self._http, "generation", answer.json()["data"]["generation"])
        self.times.append(("reload", round(time.monotonic() - began, 2)))
        return processes

    @asynccontextmanager
    async def off_while(self, verb: str, provider: str) -> AsyncIterator[None]:
        """Drain or disable the provider during the block."""
        began = time.monotonic()
        await self.switch(verb, provider)
        yield
        await self.switch("enable", provider)
        self.off.setdefault(provider, []).append((began, time.monotonic()))

    def was_off(self, provider: str, at: float) -> bool:
        """Whether the provider was off at that moment."""
        return any(began <= at <= ended for began, ended in self.off.get(provider, ()))


def swap_of(process: Mapping[str, Any]) -> dict[str, Any]:
    """A process's entry of the plugin `swap`."""
    plugins: list[dict[str, Any]] = process["plugins"]
    return next(plugin for plugin in plugins if plugin["name"] == "swap")


async def command(stack: Stack, *args: str) -> Any:
    """Run a command of `polyrelay providers`; returns its JSON."""
    command_line = [*own_module("cli", "providers", *args), "--url", stack.api_url, "--format", "json"]
    done = await asyncio.to_thread(subprocess.run, command_line, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def mixed(number: int) -> Mapping[str, Any]:
    """The body of a task: one third for OpenAI, one third for the plugin, one third with the plugin as fallback."""
    return (OPENAI, SWAP, {**OPENAI, "fallbacks": [SWAP]})[number % 3]


async def seen_by_all(http: httpx.AsyncClient, field: str, least: int) -> list[dict[str, Any]]:
    """The processes, once the field of each is at least `least`."""
    async with asyncio.timeout(15):
        while True:
            processes: list[dict[str, Any]] = (await http.get(f"{ADMIN}/processes")).json()["data"]["processes"]
            if len(processes) == PROCESSES and all(process[field] >= least for process in processes):
                return processes
            await asyncio.sleep(0.1)


async def test_no_task_is_lost_while_providers_are_switched_and_reloaded(live: Stack, plugins: PluginFolder) -> None:
    """Every created task completes; a create is refused, with 503, only while the provider is off."""
    done = asyncio.Event()
    async with http_of(live) as http:
        load, operator = TaskLoad(http), Operator(http)
        running = asyncio.create_task(load.run(mixed, rate=RATE, done=done))
        async with operator.off_while("drain", "openai"):
            await asyncio.sleep(PAUSE_S)
        async with operator.off_while("disable", "openai"):
            await asyncio.sleep(PAUSE_S)
        plugins.install("swap", "2.0")
        await operator.reload()
        await asyncio.sleep(PAUSE_S)
        plugins.install("swap", "3.0", BROKEN)
        kept = await operator.reload()
        await asyncio.sleep(PAUSE_S)
        plugins.install("swap", "4.0")
        await operator.reload()
        await asyncio.sleep(PAUSE_S)
        done.set()
        await running
        ended = await load.all_ended()
    print(f"{len(load.created)} creates, {len(ended)} answered 201; seconds per change: {operator.times}")

    assert [task for _, task in ended if task["status"] != "completed"] == []
    refused = [created for created in load.created if created.status != 201]
    assert {(created.status, created.code) for created in refused} == {(503, "provider_unavailable")}
    assert [created for created in refused if not operator.was_off("openai", created.began)] == []
    assert all(created.body == OPENAI for created in refused), "a task with a fallback was refused"
    texts = {task["text_result"] for created, task in ended if created.body == SWAP}
    assert texts == {"1.0", "2.0", "4.0"}
    assert {(swap["version"], swap["error"]) for swap in map(swap_of, kept)} == {
        ("2.0", "2.0 is kept: 3.0 was not loaded: ImportError: no module named acme_sdk")
    }
    instead = [
        task for created, task in ended if "fallbacks" in created.body and task["served_by"]["provider"] == "swap"
    ]
    assert instead, "no task went to its fallback"


async def test_a_switch_reaches_every_process_within_two_seconds(live: Stack) -> None:
    """All processes apply a switch within 2 seconds after its response; catalogue, creates and metrics show it."""
    async with http_of(live) as http:
        switched = (await http.post(f"{ADMIN}/providers/openai/drain", json={"reason": "maintenance"})).json()["data"]
        began = time.monotonic()
        processes = await seen_by_all(http, "revision", switched["revision"])
        took_s = time.monotonic() - began

        shown = (await http.get("/api/v1/ai/providers")).json()["data"]["providers"]
        refused = await http.post("/api/v1/ai/text/task", json={**OPENAI, "user_id": "u", "prompt": "hi"})
        metrics = (await http.get("/metrics")).text
        enabled = (await http.post(f"{ADMIN}/providers/openai/enable")).json()["data"]
        await seen_by_all(http, "revision", enabled["revision"])

    assert sorted(process["role"] for process in processes) == ["api", "api", "worker", "worker"]
    assert took_s < SWITCH_S
    (openai,) = [provider for provider in shown if provider["name"] == "openai"]
    assert (openai["mode"], openai["mode_reason"], openai["available"]) == ("draining", "maintenance", False)
    assert refused.status_code == 503
    assert "it is draining since" in refused.json()["message"]
    assert "(maintenance)" in refused.json()["message"]
    assert 'polyrelay_provider_mode{mode="draining",provider="openai"} 1.0' in metrics


async def test_a_plugin_is_added_and_removed_without_a_restart(live: Stack, plugins: PluginFolder) -> None:
    """After a reload an installed plugin takes tasks and an uninstalled one is unknown; no process restarts."""
    async with http_of(live) as http:
        load, before = TaskLoad(http), await seen_by_all(http, "generation", 0)
        assert (await load.create({"provider": "fresh", "model": "words"})).code == "unknown_provider"
        plugins.install("fresh", "0.1")
        answer = await command(live, "reload")
        created = await load.create({"provider": "fresh", "model": "words"})
        assert (await load.ended(created.task_id))["text_result"] == "0.1"
        described = (await http.get("/docs/openapi.json")).text
        plugins.uninstall("fresh")
        await command(live, "reload")
        assert (await load.create({"provider": "fresh", "model": "words"})).code == "unknown_provider"
        after = await seen_by_all(http, "generation", answer["generation"] + 1)

    assert '"fresh.words"' in described
    assert answer["late"] == []
    assert all("fresh" in [plugin["name"] for plugin in process["plugins"]] for process in answer["processes"])
    assert {process["id"] for process in after} == {process["id"] for process in before}


async def test_a_disabled_provider_is_skipped_until_it_is_enabled(live: Stack) -> None:
    """A task that was accepted before waits while its provider is disabled, and completes when it is enabled."""
    async with http_of(live) as http:
        load = TaskLoad(http)
        switched = await http.post(f"{ADMIN}/providers/swap/disable")
        await seen_by_all(http, "revision", switched.json()["data"]["revision"])
        assert (await load.create(SWAP)).status == 503
        assert (await http.post(f"{ADMIN}/providers/nobody/disable")).status_code == 422
        both = await load.create({**SWAP, "fallbacks": [OPENAI]})
        served = await load.ended(both.task_id)
        enabled = await http.post(f"{ADMIN}/providers/swap/enable")
        await seen_by_all(http, "revision", enabled.json()["data"]["revision"])
        assert (await load.ended((await load.create(SWAP)).task_id))["status"] == "completed"

    assert served["served_by"] == {"provider": "openai", "model": "gpt-4"}
