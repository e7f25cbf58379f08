"""The plugins in `examples/`: their wheels with the wheel of polyrelay, in isolated environments."""

import asyncio
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import msgspec
import pytest

from cli.embedded.stack import Stack
from tests.acceptance.environments import (
    ROOT,
    bare_environment,
    build_wheel,
    install,
    installed_server,
    run,
    run_python,
)
from tests.acceptance.fake_vendors import running_vendor

EXAMPLES: Final = ROOT / "examples"
NAMES: Final = ("acme", "scribe")
MAX_LINES: Final = 45


@pytest.fixture(scope="module")
def plugin_wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheels of both plugins, built from copies so that the checkout does not change."""
    return [
        build_wheel(copied(name, tmp_path_factory.mktemp(name)), tmp_path_factory.mktemp("built")) for name in NAMES
    ]


@pytest.fixture(scope="module")
def author(wheel: Path, plugin_wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with polyrelay without extras, pytest and the plugins."""
    return with_plugins(
        bare_environment(wheel, tmp_path_factory.mktemp("a"), extra="", tools=["pytest"]), plugin_wheels
    )


@pytest.fixture(scope="module")
def server(wheel: Path, plugin_wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with `polyrelay[server]` and the plugins."""
    return with_plugins(bare_environment(wheel, tmp_path_factory.mktemp("server"), extra="server"), plugin_wheels)


@pytest.fixture(scope="module")
def vendors() -> Iterator[dict[str, str]]:
    """The vendors of both plugins, running; yields the settings with their URLs and keys."""
    with running_vendor(fake("acme")) as acme, running_vendor(fake("scribe")) as scribe:
        yield {**acme, **scribe}


def test_a_whole_provider_takes_at_most_45_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Without blank lines, Acme's module has at most 45 lines and its pyproject.toml at most 15."""
    module = lines(EXAMPLES / "polyrelay-acme/src/polyrelay_acme/__init__.py")
    project = lines(EXAMPLES / "polyrelay-acme/pyproject.toml")

    with capsys.disabled():
        print(f"\nthe example provider has {module} lines, its pyproject.toml {project}")
    assert module <= MAX_LINES
    assert project <= 15
    assert {path.name for path in (EXAMPLES / "polyrelay-acme/src").rglob("*") if path.is_file()} - compiled() == {
        "__init__.py",
        "py.typed",
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_plugin_passes_its_tests_in_its_author_s_environment(name: str, author: Path, tmp_path: Path) -> None:
    """The conformance kit and the plugin's own tests pass with the base dependencies and pytest only."""
    project = copied(name, tmp_path)
    shutil.rmtree(project / "src")  # the tests import the installed wheel

    printed = run(author, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", cwd=project)

    assert " passed" in printed
    assert "skipped" not in printed


def test_an_author_s_environment_has_no_library_of_the_server(author: Path, tmp_path: Path) -> None:
    """polyrelay, the conformance kit and the plugins import without the server's libraries, which are not installed."""
    printed = run_python(
        author,
        tmp_path,
        """
        import importlib.util
        import polyrelay, polyrelay.testing, polyrelay_acme, polyrelay_scribe
        names = ("litestar", "granian", "arq", "redis", "motor", "obstore", "rich", "cryptography", "pytest_asyncio")
        print(*[name for name in names if importlib.util.find_spec(name)])
        """,
    )

    assert printed.strip() == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_plugin_is_strictly_typed_for_mypy(name: str, author: Path, tmp_path: Path) -> None:
    """`mypy --strict` reports no error in the plugin and its tests, with the installed wheel."""
    project = copied(name, tmp_path)

    run(
        *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", author),
        *("--cache-dir", tmp_path / "cache", project / "src", project / "tests"),
        cwd=tmp_path,
        env={"MYPYPATH": str(project / "src")},
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_plugin_is_strictly_typed_for_pyright(name: str, author: Path, tmp_path: Path) -> None:
    """
    pyright in strict mode reports no error in the plugin and its tests, with the installed wheel.

    Uses pyright from PATH if it is there, else basedpyright, whose wheel contains its own node.
    """
    project = copied(name, tmp_path)
    (project / "pyrightconfig.json").write_bytes(
        msgspec.json.encode({"include": ["src", "tests"], "typeCheckingMode": "strict", "pythonVersion": "3.11"})
    )

    pyright = shutil.which("pyright") or Path(sys.executable).with_name("basedpyright")

    printed = run(pyright, "--pythonpath", author, cwd=project, env=home())

    assert "0 errors, 0 warnings" in printed


async def test_a_server_serves_the_plugins(server: Path, stack: Stack, vendors: dict[str, str], tmp_path: Path) -> None:
    """Tasks of both plugins complete; a refused and a failed task of Acme end with their error codes."""
    async with installed_server(server, stack, tmp_path, settings=vendors) as relay:
        created = [
            await relay.create("image", provider="acme", model="acme-1", user_id="p", prompt=prompt, size="512x512")
            for prompt in ("a fox", "something forbidden", "something unlucky")
        ]
        created.append(await relay.create("text", provider="scribe", model="scribe-1", user_id="p", prompt="a fable"))
        picture, refused, failed, text = [await relay.wait(task.task_id, timeout_s=60) for task in created]
        (saved,) = await relay.save(picture, tmp_path / "out")

    assert picture.status == "completed"
    assert saved.read_bytes().startswith(b"\x89PNG")
    assert text.text_result == "Once upon a time."
    assert refused.error is not None
    assert failed.error is not None
    assert (refused.error.code, failed.error.code) == ("content_blocked", "generation_failed")


async def test_a_cancel_stops_the_generation_at_scribe(server: Path, stack: Stack, tmp_path: Path) -> None:
    """A cancel of a waiting task calls the plugin's `cancel`, which stops the generation at the vendor."""
    with running_vendor(fake("scribe")) as scribe:
        async with installed_server(server, stack, tmp_path, settings=scribe) as relay, asyncio.timeout(60):
            task = await relay.create("text", provider="scribe", model="scribe-1", user_id="p", prompt="an epic")
            while (await relay.get(task.task_id)).phase != "waiting":  # noqa: ASYNC110 - the API sends no notification
                await asyncio.sleep(0.05)
            await relay.cancel(task.task_id)
            ended = await relay.wait(task.task_id)
        async with httpx.AsyncClient(base_url=scribe["SCRIBE_URL"]) as vendor:
            state = (await vendor.get("/v1/texts/t-1")).json()["state"]

    assert ended.status == "cancelled"
    assert state == "stopped"


def test_without_keys_the_plugins_are_listed_with_the_reason(server: Path, tmp_path: Path) -> None:
    """`providers list` shows package, version, models and reason; `providers check` has no findings."""
    listed = run(server.with_name("polyrelay"), "providers", "list", cwd=tmp_path)
    checked = run(server.with_name("polyrelay"), "providers", "check", "scribe", cwd=tmp_path)

    rows = {line.split()[0]: line for line in listed.splitlines()}
    assert rows["acme"].split()[1:5] == ["polyrelay-acme", "0.1.0", "1", "no:"]
    assert "ACME_API_KEY is not set" in rows["acme"]
    assert "provider scribe, 1 model: no findings" in checked


def copied(name: str, folder: Path) -> Path:
    """Copy an example's project into the folder; returns its path."""
    target = folder / f"polyrelay-{name}"
    shutil.copytree(EXAMPLES / target.name, target, ignore=shutil.ignore_patterns("__pycache__", ".*", "dist"))
    return target


def fake(name: str) -> Path:
    """The script of the example's vendor server."""
    return EXAMPLES / f"polyrelay-{name}" / "tests" / f"fake_{name}.py"


def lines(path: Path) -> int:
    """The number of lines that are not blank."""
    return sum(1 for line in path.read_text("utf-8").splitlines() if line.strip())


def compiled() -> set[str]:
    """The names of compiled modules in the examples."""
    return {path.name for path in EXAMPLES.rglob("*.pyc")}


def home() -> dict[str, str]:
    """The environment of pyright: the folder of its cache, and PATH."""
    return {"HOME": str(Path.home()), "PATH": "/usr/local/bin:/usr/bin:/bin"}


def with_plugins(python: Path, wheels: list[Path]) -> Path:
    """Install the wheels into the environment; returns its Python."""
    for wheel in wheels:
        install(python, wheel)
    return python
