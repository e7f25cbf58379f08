"""The tutorial `write-a-provider.md`: the files and commands of each step, unchanged, in a new environment."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from cli.embedded.stack import Stack
from tests.acceptance.environments import PIP, ROOT, bare_environment, installed_server
from tests.acceptance.fake_vendors import running_vendor

PAGE: Final = ROOT / "docs/tutorials/write-a-provider.md"
MODULE: Final = "polyrelay_mirror.py"
TOOLS: Final = ("pytest", "hatchling", "editables")
RESULTS: Final = {"1": "olleh", "2": "OLLEH", "3": "olleh", "4": None, "5": None, "6": None}
"""The result of the task of each step; None for a step without a task."""
_BLOCK: Final = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


class Step(Struct, frozen=True):
    """A part of the page: the files that it shows, by name, and its commands."""

    files: Mapping[str, str]
    commands: str


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of the reader's environment, with a `pip` beside it that downloads nothing."""
    prepared = bare_environment(wheel, tmp_path_factory.mktemp("reader"), extra="server", tools=TOOLS)
    offline = "--no-index --no-build-isolation"
    command(prepared, "pip", f'command=$1; shift; exec {" ".join(PIP)} --python {prepared} $command {offline} "$@"')
    command(prepared, "pytest", f'exec {prepared} -m pytest "$@"')
    return prepared


@pytest.mark.timeout(300)
async def test_every_step_works_unchanged(python: Path, stack: Stack, tmp_path: Path) -> None:
    """The steps give three results, a passing conformance kit and a wheel."""
    project = tmp_path / "polyrelay-mirror"
    project.mkdir()
    found = dict(steps(PAGE.read_text("utf-8")))
    assert set(found) == set(RESULTS)

    for number, step in found.items():
        for name, text in step.files.items():
            (project / name).write_text(text, "utf-8")
        before, _, task = step.commands.partition("polyrelay tasks")
        printed = shell(before, python, project)
        if task:
            (tmp_path / number).mkdir()
            with vendor_in(project) as vendor:
                async with installed_server(python, stack, tmp_path / number, settings=vendor) as relay:
                    printed += shell(f"polyrelay tasks{task}", python, project, POLYRELAY_URL=str(relay.base_url))
        assert (RESULTS[number] or "") in printed, printed

    (built,) = (project / "dist").glob("*.whl")
    assert built.name == "polyrelay_mirror-0.1.0-py3-none-any.whl"


def test_the_kit_reports_the_mistake_that_the_page_shows(python: Path, tmp_path: Path) -> None:
    """With the mistake that the page describes the tests fail, and their output has the line that it shows."""
    page = PAGE.read_text("utf-8")
    found = dict(steps(page))
    (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    right, wrong = 'self._http.submit("/texts", json', 'self._http.query("POST", "/texts", json'
    assert right in found["4"].files[MODULE]
    (tmp_path / MODULE).write_text(found["4"].files[MODULE].replace(right, wrong), "utf-8")
    (tmp_path / "test_mirror.py").write_text(found["5"].files["test_mirror.py"], "utf-8")

    done = subprocess.run([str(python), "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 1
    assert shown in done.stdout


def test_the_modules_are_strictly_typed(python: Path, tmp_path: Path) -> None:
    """From step 2 on `mypy --strict` reports no error."""
    modules = [step.files[MODULE] for _, step in steps(PAGE.read_text("utf-8")) if MODULE in step.files]

    for number, text in enumerate(modules[1:], 2):
        file = tmp_path / f"step_{number}.py"
        file.write_text(text, "utf-8")
        mypy = (sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", str(python))
        done = subprocess.run([*mypy, str(file)], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_first_module_has_ten_lines() -> None:
    """Without blank lines, the first module has ten lines and none has more than 45."""
    modules = [step.files[MODULE] for _, step in steps(PAGE.read_text("utf-8")) if MODULE in step.files]

    counts = [sum(1 for line in text.splitlines() if line.strip()) for text in modules]
    assert counts[0] == 10
    assert max(counts) <= 45


def command(python: Path, name: str, script: str) -> None:
    """Write a shell script as a command beside that Python."""
    path = python.with_name(name)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def steps(page: str) -> Iterator[tuple[str, Step]]:
    """The numbered parts of the page, with their numbers."""
    parts = re.split(r"^## (\d)\. .*$", page, flags=re.MULTILINE)
    for number, text in zip(parts[1::2], parts[2::2], strict=True):
        blocks = _BLOCK.findall(text)
        files = {title: code for _, title, code in blocks if title}
        yield number, Step(files, "\n".join(code for kind, title, code in blocks if kind == "bash" and not title))


@contextmanager
def vendor_in(project: Path) -> Iterator[dict[str, str]]:
    """Run the vendor of the page, if a step has shown it; yields its settings."""
    script = project / "vendor.py"
    if not script.exists():
        yield {}
        return
    with running_vendor(script) as settings:
        yield settings


def shell(commands: str, python: Path, folder: Path, **settings: str) -> str:
    """Run commands in one shell that stops at the first error; returns what they print."""
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{commands}"],
        cwd=folder,
        env={"PATH": f"{python.parent}:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8", **settings},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout
