"""
Isolated environments: a wheel, and links to its declared dependencies as they are installed here.

Nothing is downloaded, and a dependency that `pyproject.toml` does not declare is missing in them.
"""

import re
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import Distribution, PackageNotFoundError, PathDistribution, distribution
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cli.embedded.ports import free_port
from cli.embedded.processes import ChildProcess
from cli.embedded.readiness import answers, prints
from cli.embedded.stack import Stack
from cli.embedded.upstreams import VENDORS, simulated
from polyrelay.client import AsyncClient

PIP: Final = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir")
ROOT: Final = Path(__file__).resolve().parents[2]


def build_wheel(source: Path, folder: Path) -> Path:
    """Build a project's wheel without a download; returns its path."""
    run(*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    (built,) = folder.glob("*.whl")
    return built


@asynccontextmanager
async def installed_server(
    python: Path, stack: Stack, folder: Path, *, settings: Mapping[str, str] | None = None
) -> AsyncIterator[AsyncClient]:
    """Run API and worker of an environment on the stack's servers, with a database of their own; yields a client."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "HOST": "127.0.0.1",
        "AUTH": "none",
        "PORT": str(port),
        "MONGO_URL": stack.mongo_url.replace("/polyrelay", "/wheel"),
        "REDIS_URL": re.sub(r"/0$", "/1", stack.redis_url),
        "RESULTS_URL": str(folder / "results"),
        "POLL_SCALE": "0.05",
        "PYTHONUNBUFFERED": "1",
        **simulated(VENDORS, stack.simulator_url or ""),
        **(settings or {}),
    }
    assert env["MONGO_URL"] != stack.mongo_url
    assert env["REDIS_URL"] != stack.redis_url
    processes = [
        ChildProcess(
            name,
            (str(python.with_name("polyrelay")), name),
            env=env,
            log_file=folder / f"{name}.log",
            ready=ready,
            cwd=folder,
        )
        for name, ready in (("api", answers(f"{url}/ready")), ("worker", prints("worker_started")))
    ]
    try:
        for process in processes:
            await process.start()
        async with AsyncClient(url) as relay:
            yield relay
    finally:
        for process in reversed(processes):
            await process.stop()
    assert [process.exit_code for process in processes] == [0, 0], [process.last_lines() for process in processes]


def bare_environment(wheel: Path, folder: Path, *, extra: str, tools: Iterable[str] = ()) -> Path:
    """Make an environment with the wheel, its dependencies with that extra, and those tools; returns its Python."""
    environment, linked = folder / "venv", folder / "dependencies"
    run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    python = environment / "bin" / "python"
    linked.mkdir()
    needed = dependencies(metadata_of(wheel), extra)
    for tool in map(installed, tools):
        needed |= {canonicalize_name(tool.name): tool, **dependencies(tool, "")}
    for found in needed.values():
        link(found, linked)
    install(python, wheel)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{linked}\n", "utf-8")
    return python


def install(python: Path, wheel: Path) -> None:
    """Install a wheel without its dependencies, which must be installed already."""
    run(*PIP, "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel))


def dependencies(metadata: Distribution, extra: str) -> dict[str, Distribution]:
    """The direct and indirect dependencies of a distribution with that extra, by name."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = list(requirements(metadata, {extra}))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for one in {"", *requirement.extras}:
            if (name, one) not in seen:
                seen.add((name, one))
                found[name] = installed(name)
                waiting += requirements(found[name], {one})
    return found


def requirements(metadata: Distribution, extras: set[str]) -> Iterator[Requirement]:
    """The direct requirements whose markers apply here."""
    for text in metadata.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


def installed(name: str) -> Distribution:
    """The distribution of that name in the running environment."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        pytest.fail(f"{name} is required by the wheel and not installed here; run `make install`")


def link(found: Distribution, folder: Path) -> None:
    """Link the modules and the metadata of a distribution into a folder."""
    for first in {file.parts[0] for file in found.files or () if file.parts[0] not in {"..", "__pycache__"}}:
        target = folder / first
        if not target.exists():
            target.symlink_to(Path(str(found.locate_file(first))))


def metadata_of(wheel: Path) -> Distribution:
    """The metadata of the wheel."""
    with zipfile.ZipFile(wheel) as content:
        (name,) = {entry.partition("/")[0] for entry in content.namelist() if ".dist-info/" in entry}
        content.extractall(wheel.parent / "metadata", [e for e in content.namelist() if e.startswith(f"{name}/")])
    return PathDistribution(wheel.parent / "metadata" / name)


def run_python(python: Path, cwd: Path, code: str) -> str:
    """Run a program, indented by 8 spaces, with that Python; returns what it prints."""
    lines = code.splitlines()
    return run(python, "-c", "\n".join(line[8:] for line in lines), cwd=cwd)


def run(*command: "str | Path", cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command, which must succeed; returns what it prints."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(cwd or ROOT), "LANG": "C.UTF-8", **(env or {})}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
