"""A new plugin project: written by a command, tested, installed, and used for a task."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from cli.embedded.stack import Stack
from tests.acceptance.environments import PIP, bare_environment, installed_server, run
from tests.acceptance.fake_vendors import running_vendor

TOOLS: Final = ("pytest", "hatchling", "editables")


@pytest.fixture(scope="module")
def server(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with `polyrelay[server]` and the tools of a plugin author."""
    return bare_environment(wheel, tmp_path_factory.mktemp("server"), extra="server", tools=TOOLS)


@pytest.fixture(scope="module")
def project(server: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that `polyrelay providers new demo` wrote, installed with `pip install -e .` without a download."""
    folder = tmp_path_factory.mktemp("work")
    run(server.with_name("polyrelay"), "providers", "new", "demo", cwd=folder)
    written = folder / "polyrelay-demo"
    install_here(server, written)
    return written


def test_its_tests_pass_unchanged(server: Path, project: Path) -> None:
    """`pytest` in the new project passes, with the conformance kit, and skips no test."""
    printed = run(server, "-m", "pytest", "-q", "-rs", cwd=project)

    assert " passed" in printed
    assert "skipped" not in printed


def test_it_appears_in_the_server_s_environment(server: Path, project: Path) -> None:
    """`providers list` shows its package and the missing key; `providers check` has no findings."""
    listed = run(server.with_name("polyrelay"), "providers", "list", cwd=project)
    checked = run(server.with_name("polyrelay"), "providers", "check", "demo", cwd=project, env={"DEMO_API_KEY": "k"})

    (row,) = [line for line in listed.splitlines() if line.startswith("demo")]
    assert row.split()[1:5] == ["polyrelay-demo", "0.1.0", "1", "no:"]
    assert "DEMO_API_KEY is not set" in row
    assert "provider demo, 1 model: no findings" in checked


async def test_the_server_serves_it_unchanged(server: Path, project: Path, stack: Stack, tmp_path: Path) -> None:
    """A task completes with the settings that the project's own vendor server prints."""
    with running_vendor(project / "tests" / "fake_demo.py") as vendor:
        assert set(vendor) == {"DEMO_URL", "DEMO_API_KEY"}
        async with installed_server(server, stack, tmp_path, settings=vendor) as relay:
            task = await relay.create("image", provider="demo", model="demo-1", user_id="n", prompt="a fox")
            done = await relay.wait(task.task_id, timeout_s=60)

    assert done.status == "completed"
    assert done.provider == "demo"


def test_a_second_plugin_of_that_name_is_refused(server: Path, project: Path) -> None:
    """`providers new` with the name of an installed plugin exits with 2 and writes nothing."""
    done = subprocess.run(
        [str(server.with_name("polyrelay")), "providers", "new", "demo", "--dir", "again"],
        cwd=project,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert "installed here already" in done.stderr
    assert not (project / "again").exists()


def install_here(python: Path, project: Path) -> None:
    """`pip install -e .`, with the installed build backend instead of a downloaded one."""
    offline = ("--quiet", "--no-index", "--no-build-isolation")
    run(*PIP, "--python", str(python), "install", *offline, "--editable", ".", cwd=project)
