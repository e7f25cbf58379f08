"""
Gateways that relay an image request to a vendor: LiteLLM's proxy and Portkey's.

Their work differs from ours: they hold the caller's connection and store nothing, and a request ends with them.
"""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import httpx
from msgspec import Struct

from benchmarks.http_load import Endpoint
from benchmarks.peers.installing import NotInstalled, Packages, Say, installed, reason_in
from benchmarks.turns import Failed
from cli.embedded.ports import free_port
from cli.embedded.processes import ChildProcess
from cli.embedded.start_errors import ServerNotStarted

_MODEL: Final = "dall-e-3"
_KEY: Final = "sk-simulator"
_BODY: Final = json.dumps({"model": _MODEL, "prompt": "a fox in the snow, at dusk", "size": "1024x1024"}).encode()
_PATH: Final = "/v1/images/generations"
_BEARER: Final = {"Authorization": f"Bearer {_KEY}"}


class Gateway(Struct, frozen=True, kw_only=True):
    """
    A gateway that a user might run.

    Attributes:
        ready: The path that responds once the gateway is ready.
    """

    name: str
    packages: Packages
    ready: str
    setting: str


LITELLM: Final = Gateway(
    name="LiteLLM proxy",
    packages=Packages(pip=("litellm[proxy]==1.100.0",)),
    ready="/health/liveliness",
    setting="relays, keeps nothing: 1 worker, no database",
)
PORTKEY: Final = Gateway(
    name="Portkey gateway",
    packages=Packages(npm=("@portkey-ai/gateway@1.15.2",)),
    ready="/",
    setting="relays, keeps nothing: 1 Node process",
)
GATEWAYS: Final = (LITELLM, PORTKEY)


def asked_directly(simulator_url: str) -> Endpoint:
    """The vendor without a gateway."""
    return Endpoint(url=f"{simulator_url}{_PATH}", body=_BODY, headers=_BEARER, expected=200)


@contextlib.asynccontextmanager
async def running(gateway: Gateway, simulator_url: str, folder: Path, say: Say) -> AsyncIterator[Endpoint]:
    """
    That gateway in front of the simulator, installed if necessary.

    Raises:
        Failed: It cannot be installed or does not start; the text says why.
    """
    port = free_port()
    try:
        process = await _process(gateway, simulator_url, folder, port, say)
        await process.start()
    except NotInstalled as error:
        raise Failed(f"not installed: {error}") from None
    except ServerNotStarted as error:
        raise Failed(reason_in(str(error))) from None
    headers = _BEARER if gateway is LITELLM else {**_BEARER, **_portkey_headers(simulator_url)}
    try:
        yield Endpoint(url=f"http://127.0.0.1:{port}{_PATH}", body=_BODY, headers=headers, expected=200)
    finally:
        await process.stop(grace_s=3.0)


async def _process(gateway: Gateway, simulator_url: str, folder: Path, port: int, say: Say) -> ChildProcess:
    name = "litellm" if gateway is LITELLM else "portkey"
    environment = await installed(name, gateway.packages, say=say)
    command = (
        _litellm(environment, simulator_url, folder, port)
        if gateway is LITELLM
        else [
            "node",
            str(environment / "node_modules/@portkey-ai/gateway/build/start-server.js"),
            f"--port={port}",
            "--headless",
        ]
    )

    async def answers(_: ChildProcess) -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            with contextlib.suppress(httpx.TransportError):
                return (await client.get(f"http://127.0.0.1:{port}{gateway.ready}")).status_code < 500
        return False

    return ChildProcess(
        name, command, env=_environment(folder), log_file=folder / f"{name}.log", ready=answers, cwd=folder
    )


def _litellm(environment: Path, simulator_url: str, folder: Path, port: int) -> list[str]:
    """Its configuration is YAML; JSON is valid YAML."""
    params = {"model": f"openai/{_MODEL}", "api_base": f"{simulator_url}/v1", "api_key": _KEY}
    config = folder / "litellm.yaml"
    config.write_text(json.dumps({"model_list": [{"model_name": _MODEL, "litellm_params": params}]}))
    return [str(environment / "bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]


def _portkey_headers(simulator_url: str) -> Mapping[str, str]:
    return {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{simulator_url}/v1"}


def _environment(folder: Path) -> Mapping[str, str]:
    """An environment without our settings, and without any that make a gateway call the internet."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**inherited, "HOME": str(folder), "NODE_ENV": "production", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
