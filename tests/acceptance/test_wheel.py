"""
The wheel, installed without this checkout and without the tools of development.

The environments are isolated: see `environments`.
"""

import re
import tomllib
import zipfile
from pathlib import Path
from typing import Final

import httpx
import pytest

from cli.embedded.stack import Stack
from tests.acceptance.environments import (
    ROOT,
    bare_environment,
    dependencies,
    installed_server,
    metadata_of,
    run,
    run_python,
)

NO_PACKAGES: Final = frozenset({"tests", "docs", "benchmarks", "deploy", "examples", "locks", "build", "dist"})
SERVER_ONLY: Final = frozenset({"litestar", "granian", "arq", "redis", "motor", "pymongo", "obstore", "core", "api"})


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment as `pip install polyrelay` makes it."""
    return bare_environment(wheel, tmp_path_factory.mktemp("base"), extra="")


@pytest.fixture(scope="module")
def server(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment as `pip install polyrelay[server]` makes it."""
    return bare_environment(wheel, tmp_path_factory.mktemp("server"), extra="server")


def test_the_wheel_has_every_file_of_every_package(wheel: Path) -> None:
    """The files of the wheel are exactly the files of the packages on disk."""
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


def test_the_wheel_has_the_metadata_of_pyproject(wheel: Path) -> None:
    """Commands, plugins and version are those of pyproject.toml; the licence and the type marker are in it."""
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


def test_the_lock_of_the_server_has_all_its_dependencies(wheel: Path) -> None:
    """Every dependency of the extra `server` is in `locks/server.txt`, in the version that is installed here."""
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "locks/server.txt").read_text("utf-8"), re.MULTILINE))

    needed = {name: found.version for name, found in dependencies(metadata_of(wheel), "server").items()}
    assert needed.items() <= locked.items()


def test_a_base_install_is_the_public_package_with_few_dependencies(base: Path, tmp_path: Path) -> None:
    """Without extras every module of `polyrelay` imports from the wheel, and no library of the server is installed."""
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
    """Every top-level package is imported from the wheel; the checkout is not in the path."""
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
    """Libraries of the simulator and test tools are not installed, so the tests below cannot depend on them."""
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
    """`polyrelay api` and `polyrelay worker` of the wheel complete tasks of each type and exit on SIGTERM."""
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
    """The page at /docs and every file that it references are served by the API itself."""
    async with installed_server(server, stack, tmp_path) as relay, httpx.AsyncClient(base_url=relay.base_url) as http:
        page = await http.get("/docs")
        files = re.findall(r'(?:href|src)="(/[^"]+)"', page.text)
        statuses = [(await http.get(file)).status_code for file in files]

    assert len(files) >= 2
    assert statuses == [200] * len(files)


def test_a_server_install_shows_its_providers(server: Path, tmp_path: Path) -> None:
    """`providers list` finds the built-in plugins by the wheel's entry points, with their catalogues."""
    printed = run(server.with_name("polyrelay"), "providers", "list", "--models", cwd=tmp_path)

    assert {"volcengine", "openai"} <= set(printed.split())
    assert "doubao-seedream-4-0-250828" in printed
    assert "not loaded" not in printed
