"""
The wheel, installed without this checkout and without what development brings.

The environments are bare: the wheel, and links to the dependencies that the wheel itself asks for, as they are
installed here. So nothing is downloaded, and a dependency that is missing in `pyproject.toml` is missing there too.
"""

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import Distribution, PackageNotFoundError, PathDistribution, distribution
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cli.embedded.processes import ChildProcess
from cli.embedded.readiness import answers, prints
from cli.embedded.servers import free_port
from cli.embedded.stack import Stack
from cli.embedded.upstreams import VENDORS, simulated
from polyrelay.client import AsyncClient

PIP: Final = (sys.executable, "-m", "pip", "--disable-pip-version-check")
ROOT: Final = Path(__file__).resolve().parents[2]
NO_PACKAGES: Final = frozenset({"tests", "docs", "benchmarks", "deploy", "examples", "locks", "build", "dist"})
SERVER_ONLY: Final = frozenset({"litestar", "granian", "arq", "redis", "motor", "pymongo", "obstore", "core", "api"})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run(*PIP, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("polyrelay-*.whl")
    return built


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment as `pip install polyrelay` makes it: its Python."""
    return bare_environment(wheel, tmp_path_factory.mktemp("base"), extra="")


@pytest.fixture(scope="module")
def server(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment as `pip install polyrelay[server]` makes it: its Python."""
    return bare_environment(wheel, tmp_path_factory.mktemp("server"), extra="server")


def test_the_wheel_holds_every_file_of_every_package(wheel: Path) -> None:
    """No package and no data file on disk is missing in the wheel, and nothing else is in it."""
    with zipfile.ZipFile(wheel) as content:
        packed = {name for name in content.namelist() if ".dist-info/" not in name}

    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - NO_PACKAGES
    on_disk = {
        str(path.relative_to(ROOT))
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == on_disk


def test_the_wheel_says_what_pyproject_says(wheel: Path) -> None:
    """Its commands and plugins are those of pyproject.toml; it carries its licence and is marked as typed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    metadata = metadata_of(wheel)

    found = {(entry.group, entry.name): entry.value for entry in metadata.entry_points}
    plugins = {("polyrelay.providers", *item): None for item in project["entry-points"]["polyrelay.providers"].items()}
    assert found == {
        **{("console_scripts", name): value for name, value in project["scripts"].items()},
        **{(group, name): value for group, name, value in plugins},
    }
    assert metadata.version == project["version"]
    with zipfile.ZipFile(wheel) as content:
        assert any(name.endswith("licenses/LICENSE") for name in content.namelist())
        assert "polyrelay/py.typed" in content.namelist()


def test_the_lock_of_the_server_holds_all_that_the_server_asks_for(wheel: Path) -> None:
    """What the wheel's extra `server` pulls in here is in `locks/server.txt`, in the version that is installed here."""
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "locks/server.txt").read_text("utf-8"), re.MULTILINE))

    asked = {name: found.version for name, found in dependencies(metadata_of(wheel), "server").items()}
    assert asked.items() <= locked.items()


def test_a_base_install_is_the_public_package_with_few_dependencies(base: Path, tmp_path: Path) -> None:
    """Without extras every module of `polyrelay` imports, from the wheel, and the server's libraries are not there."""
    loaded = run_python(
        base,
        tmp_path,
        """
        import importlib, importlib.util, pkgutil, sys
        import polyrelay
        for module in pkgutil.walk_packages(polyrelay.__path__, "polyrelay."):
            importlib.import_module(module.name)
        print(polyrelay.__file__)
        print(*sorted({name.partition(".")[0] for name in sys.modules}))
        print(*[name for name in ("litestar", "motor", "redis", "arq", "granian") if importlib.util.find_spec(name)])
        """,
    )
    where, modules, installed = loaded.splitlines()

    assert Path(where).is_relative_to(base.parents[1])
    assert not SERVER_ONLY & set(modules.split())
    assert installed == ""


def test_a_server_install_imports_its_own_code(server: Path, tmp_path: Path) -> None:
    """Every top-level package comes from the wheel; the checkout is nowhere on the path."""
    printed = run_python(
        server,
        tmp_path,
        """
        import sys
        import api.app, cli.main, core, polyrelay, providers, repositories, services, worker.main
        for module in (api, cli, core, polyrelay, providers, repositories, services, worker):
            print(module.__file__)
        print(*sys.path, sep="\\n")
        """,
    )
    files, path = printed.splitlines()[:8], printed.splitlines()[8:]

    assert all(Path(file).is_relative_to(server.parents[1]) for file in files)
    assert str(ROOT) not in path


def test_a_server_install_has_no_tools_of_development(server: Path, tmp_path: Path) -> None:
    """Neither the simulator's libraries nor test tools come along, so the test below proves what it says."""
    printed = run_python(
        server,
        tmp_path,
        """
        import importlib.util
        names = ("pytest", "PIL", "av", "fakeredis", "volcengine", "volcenginesdkarkruntime", "openai", "mypy", "pip")
        print(*[name for name in names if importlib.util.find_spec(name)])
        """,
    )

    assert printed.strip() == ""


async def test_a_server_install_serves(server: Path, stack: Stack, tmp_path: Path) -> None:
    """`polyrelay api` and `polyrelay worker` of the wheel make a picture, a video and a text, and end with SIGTERM."""
    async with installed_server(server, stack, tmp_path) as relay:
        tasks = [
            await relay.create("image", provider="volcengine", model="jimeng_t2i_v40", user_id="w", prompt="a fox"),
            await relay.create("video", provider="openai", model="sora", user_id="w", prompt="waves"),
            await relay.create("text", provider="volcengine", model="doubao-pro-4k", user_id="w", prompt="why?"),
        ]
        done = [await relay.wait(task.task_id, timeout_s=60) for task in tasks]
        saved = [path for task in done for path in await relay.save(task, tmp_path / "out")]

    assert [task.status for task in done] == ["completed"] * 3
    assert len(saved) == 3
    assert all(path.stat().st_size > 0 for path in saved)


async def test_a_server_install_has_the_page_that_describes_the_api(server: Path, stack: Stack, tmp_path: Path) -> None:
    """The page at /docs and every file that it names are there, without the internet."""
    async with installed_server(server, stack, tmp_path) as relay, httpx.AsyncClient(base_url=relay.base_url) as http:
        page = await http.get("/docs")
        files = re.findall(r'(?:href|src)="(/[^"]+)"', page.text)
        statuses = [(await http.get(file)).status_code for file in files]

    assert len(files) >= 2
    assert statuses == [200] * len(files)


def test_a_server_install_shows_its_providers(server: Path, tmp_path: Path) -> None:
    """The built-in plugins are found through the wheel's entry points, with their catalogue files."""
    printed = run(server.with_name("polyrelay"), "providers", "list", "--models", cwd=tmp_path)

    assert {"volcengine", "openai"} <= set(printed.split())
    assert "doubao-seedream-4-0-250828" in printed
    assert "left out" not in printed


@asynccontextmanager
async def installed_server(python: Path, stack: Stack, folder: Path) -> Any:
    """API and worker of that environment beside the running stack's servers, in a database and a queue of their own."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "MONGO_URL": stack.mongo_url.replace("/polyrelay", "/wheel"),
        "REDIS_URL": re.sub(r"/0$", "/1", stack.redis_url),
        "RESULTS_URL": str(folder / "results"),
        "POLL_SCALE": "0.05",
        "PYTHONUNBUFFERED": "1",
        **simulated(VENDORS, stack.simulator_url or ""),
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


def bare_environment(wheel: Path, folder: Path, *, extra: str) -> Path:
    """An environment with the wheel and what it asks for with that extra; answers its Python."""
    environment, linked = folder / "venv", folder / "dependencies"
    run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    python = environment / "bin" / "python"
    linked.mkdir()
    for found in dependencies(metadata_of(wheel), extra).values():
        link(found, linked)
    run(*PIP, "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel))
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{linked}\n", "utf-8")
    return python


def dependencies(metadata: Distribution, extra: str) -> dict[str, Distribution]:
    """What a distribution with that extra needs here, all the way down, by name."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = list(wanted(metadata, {extra}))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for one in {"", *requirement.extras}:
            if (name, one) not in seen:
                seen.add((name, one))
                found[name] = installed(name)
                waiting += wanted(found[name], {one})
    return found


def wanted(metadata: Distribution, extras: set[str]) -> Iterator[Requirement]:
    """The direct requirements that apply here."""
    for text in metadata.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


def installed(name: str) -> Distribution:
    """A distribution of the running environment."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        pytest.fail(f"{name} is asked for by the wheel and not installed here; run `make install`")


def link(found: Distribution, folder: Path) -> None:
    """Make the modules and the metadata of a distribution visible in a folder."""
    for first in {file.parts[0] for file in found.files or () if file.parts[0] not in {"..", "__pycache__"}}:
        target = folder / first
        if not target.exists():
            target.symlink_to(Path(str(found.locate_file(first))))


def metadata_of(wheel: Path) -> Distribution:
    """The wheel's own metadata."""
    with zipfile.ZipFile(wheel) as content:
        (name,) = {entry.partition("/")[0] for entry in content.namelist() if ".dist-info/" in entry}
        content.extractall(wheel.parent / "metadata", [e for e in content.namelist() if e.startswith(f"{name}/")])
    return PathDistribution(wheel.parent / "metadata" / name)


def run_python(python: Path, cwd: Path, code: str) -> str:
    """What a program prints in that environment."""
    lines = code.splitlines()
    return run(python, "-c", "\n".join(line[8:] for line in lines), cwd=cwd)


def run(*command: "str | Path", cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """What a command prints; it must succeed."""
    plain = {"PATH": "/usr/bin:/bin", "HOME": str(cwd or ROOT), "LANG": "C.UTF-8", **(env or {})}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=plain, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
