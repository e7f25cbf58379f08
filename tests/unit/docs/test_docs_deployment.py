"""Image, compose file and `.ci/run`: rules on their text. No container engine runs here."""

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from core.settings import NAMES, read_settings

Pages = Callable[[str], str]


@pytest.fixture
def compose(page: Pages) -> dict[str, Any]:
    """The compose file."""
    value: dict[str, Any] = yaml.safe_load(page("docker-compose.yml"))
    return value


@pytest.fixture
def instructions(page: Pages) -> list[tuple[str, str]]:
    """The Dockerfile's instructions of its last stage, as name and rest."""
    text = re.sub(r"\\\n", " ", page("Dockerfile"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    start = max(index for index, line in enumerate(lines) if line.startswith("FROM "))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines[start:])]


def test_the_services_are_the_product_and_its_databases(compose: dict[str, Any]) -> None:
    """API, worker, MongoDB and Valkey; all of them restart after a failure or a restart of the machine."""
    assert set(compose["services"]) == {"api", "worker", "mongo", "valkey"}
    assert {service["restart"] for service in compose["services"].values()} == {"unless-stopped"}


@pytest.mark.parametrize("name", ["api", "worker"])
def test_our_processes_start_when_the_databases_are_healthy(name: str, compose: dict[str, Any]) -> None:
    """Neither starts before MongoDB takes writes and Valkey answers."""
    waits = compose["services"][name]["depends_on"]

    assert waits == {"mongo": {"condition": "service_healthy"}, "valkey": {"condition": "service_healthy"}}
    assert all("healthcheck" in compose["services"][server] for server in waits)


@pytest.mark.parametrize("name", ["api", "worker"])
def test_our_processes_have_settings_that_can_be_read(name: str, compose: dict[str, Any], tmp_path: Path) -> None:
    """Every variable is a setting and is allowed; the addresses are those of the other services."""
    environment = compose["services"][name]["environment"]
    (tmp_path / ".env").touch()

    settings = read_settings(environment, dotenv=tmp_path / ".env")

    assert set(environment) <= set(NAMES)
    assert settings.mongo_url.reveal() == "mongodb://mongo:27017/polyrelay?replicaSet=rs0"
    assert settings.redis_url.reveal() == "redis://valkey:6379/0"
    assert settings.host == "0.0.0.0"
    assert compose["services"][name]["env_file"] == [{"path": ".env", "required": False}]


@pytest.mark.parametrize("name", ["api", "worker"])
def test_our_processes_have_no_rights_that_they_do_not_need(name: str, compose: dict[str, Any]) -> None:
    """No capabilities, no new privileges."""
    service = compose["services"][name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "user" not in service, "the image's own user"


@pytest.mark.parametrize("name", ["api", "worker"])
def test_a_stop_takes_longer_than_the_grace_period(name: str, compose: dict[str, Any], tmp_path: Path) -> None:
    """The engine waits longer than `SHUTDOWN_GRACE_S`, so it kills no step that would have ended in time."""
    (tmp_path / ".env").touch()
    grace_s = read_settings({}, dotenv=tmp_path / ".env").shutdown_grace_s

    assert float(compose["services"][name]["stop_grace_period"].removesuffix("s")) > grace_s


def test_results_are_shared_and_all_data_is_on_named_volumes(compose: dict[str, Any]) -> None:
    """The API reads what workers write; nothing that must last is inside a container."""
    services = compose["services"]
    mounts = {name: dict(map(mount, service["volumes"])) for name, service in services.items()}

    assert mounts["api"] == mounts["worker"] == {"results": services["api"]["environment"]["RESULTS_URL"]}
    assert mounts["mongo"] == {"mongo": "/data/db", "mongo-config": "/data/configdb"}
    assert mounts["valkey"] == {"valkey": "/data"}
    assert set(compose["volumes"]) == {volume for found in mounts.values() for volume in found}


def test_mongodb_is_a_replica_set_that_its_health_check_begins(compose: dict[str, Any]) -> None:
    """The check initiates the set under the name that clients use, and is good only when the server takes writes."""
    mongo = compose["services"]["mongo"]
    check = " ".join(mongo["healthcheck"]["test"])

    assert re.fullmatch(r"mongo:[67]", mongo["image"])
    assert mongo["command"][:3] == ["mongod", "--replSet", "rs0"]
    assert "rs.initiate({_id: 'rs0', members: [{_id: 0, host: 'mongo:27017'}]})" in check
    assert "isWritablePrimary ? 0 : 1" in check


def test_valkey_keeps_its_data_and_evicts_nothing(compose: dict[str, Any]) -> None:
    """Append-only file; a full memory refuses writes and evicts no wake."""
    valkey = compose["services"]["valkey"]

    assert valkey["image"] == "valkey/valkey:8"
    options = list(zip(valkey["command"], valkey["command"][1:], strict=False))
    assert ("--appendonly", "yes") in options
    assert ("--maxmemory-policy", "noeviction") in options
    assert "PONG" in " ".join(valkey["healthcheck"]["test"])


def test_nothing_is_published_but_the_api_on_this_machine(compose: dict[str, Any]) -> None:
    """Databases and workers have no published port, and the API's is on loopback only."""
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}

    assert published == {"api": ["127.0.0.1:${PORT:-8080}:8080"]}


def test_the_health_checks_request_health_and_readiness(
    compose: dict[str, Any], instructions: list[tuple[str, str]], tmp_path: Path
) -> None:
    """Compose file and image request the API's /health, and a worker's /ready at its `WORKER_PORT`."""
    services = compose["services"]
    (check,) = [rest for name, rest in instructions if name == "HEALTHCHECK"]

    assert "http://127.0.0.1:8080/health" in services["api"]["healthcheck"]["test"][-1]
    compile(services["api"]["healthcheck"]["test"][-1], "compose", "exec")
    worker = services["worker"]
    (tmp_path / ".env").touch()
    settings = read_settings(worker["environment"], dotenv=tmp_path / ".env")
    assert f"http://127.0.0.1:{settings.worker_port}/ready" in worker["healthcheck"]["test"][-1]
    assert settings.worker_host == settings.host
    compile(worker["healthcheck"]["test"][-1], "compose", "exec")
    command = yaml.safe_load(check.partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    assert "/health" in command[2]
    compile(command[2], "Dockerfile", "exec")


def test_the_image_runs_as_a_user_without_rights(instructions: list[tuple[str, str]]) -> None:
    """The last USER is a number that is not root's, and owns the folder of results."""
    users = [rest for name, rest in instructions if name == "USER"]

    assert users == ["10001:10001"]
    assert any("--owner=polyrelay" in rest and "/var/lib/polyrelay/results" in rest for _, rest in instructions)


def test_the_image_starts_our_command_without_a_shell(instructions: list[tuple[str, str]]) -> None:
    """ENTRYPOINT and CMD are lists, so that SIGTERM reaches the process."""
    found = {name: rest for name, rest in instructions if name in {"ENTRYPOINT", "CMD", "STOPSIGNAL"}}

    assert found == {"ENTRYPOINT": '["polyrelay"]', "CMD": '["api"]', "STOPSIGNAL": "SIGTERM"}


def test_the_image_holds_the_locked_dependencies_and_our_wheel(page: Pages) -> None:
    """Dependencies come with their hashes, nothing of development comes along, and both stages have one Python."""
    text = page("Dockerfile")

    assert "--require-hashes --requirement /src/locks/server.txt" in text
    assert "pip install --no-deps --no-index /dist/*.whl" in " ".join(text.split())
    assert "dev.txt" not in text
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["python:3.12-slim", "python:3.12-slim"]
    assert "COPY --from=build /opt/polyrelay /opt/polyrelay" in text


def test_the_environment_of_the_image_is_allowed(instructions: list[tuple[str, str]], tmp_path: Path) -> None:
    """What the image sets can be read as settings."""
    (line,) = [rest for name, rest in instructions if name == "ENV"]
    environment = dict(word.split("=", 1) for word in shlex.split(line))
    (tmp_path / ".env").touch()

    read = read_settings(
        {name: value for name, value in environment.items() if name in NAMES}, dotenv=tmp_path / ".env"
    )

    assert (read.host, read.port, read.results_url) == ("0.0.0.0", 8080, "/var/lib/polyrelay/results")


def test_the_build_sees_all_packages_and_nothing_else(page: Pages) -> None:
    """The folders that are let through are those of the wheel; keys and environments stay outside."""
    let_in = {line[1:] for line in page(".dockerignore").splitlines() if line.startswith("!")}
    packages = tomllib.loads(page("pyproject.toml"))["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

    assert "*" in page(".dockerignore").splitlines()
    assert let_in == {*packages, "pyproject.toml", "README.md", "LICENSE", "locks/server.txt"}


def test_the_server_lock_has_hashes_and_names_no_host(page: Pages) -> None:
    """Each line of a package has a hash, and no address of an index is in it."""
    text = page("locks/server.txt")
    pinned = re.findall(r"^([a-z0-9-]+)==[^\n]*\\\n( +--hash=sha256:[0-9a-f]{64})", text, re.MULTILINE)

    assert len(pinned) == len(re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)) > 20
    assert "://" not in text
    assert not {"pytest", "mypy", "ruff", "volcengine", "openai", "fakeredis"} & {name for name, _ in pinned}


def test_ci_runs_the_checks_and_then_the_tests(root: Path) -> None:
    """`.ci/run` can be started, stops at the first failure, and does what the README says."""
    script = root / ".ci" / "run"
    lines = script.read_text("utf-8").splitlines()

    assert os.access(script, os.X_OK)
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    calls = [line.removeprefix("if ! ").removesuffix("; then").strip() for line in lines if "make " in line]
    made = [call for call in calls if call.startswith("make ")]
    assert made == ["make install", "make check", "make test JOBS=2", "make test JOBS=1 TESTS=--last-failed"]
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def mount(text: str) -> tuple[str, str]:
    """Volume and path of a short mount."""
    volume, _, path = text.partition(":")
    return volume, path
