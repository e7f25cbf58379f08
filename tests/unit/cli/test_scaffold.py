"""The project that `polyrelay providers new` writes, without installing it."""

import json
import tomllib
from pathlib import Path

import pytest

from cli.scaffold.names import BadName, project_names
from cli.scaffold.project import project_files
from tests.unit.cli.fake_api import Run

EXAMPLE = Path(__file__).parents[3] / "examples" / "polyrelay-acme"


def test_the_example_is_what_the_command_writes() -> None:
    """`providers new acme` writes examples/polyrelay-acme; only the README and the line about the source differ."""
    written = project_files(project_names("acme", taken=()))

    on_disk = {
        str(path.relative_to(EXAMPLE)) for path in EXAMPLE.rglob("*") if path.is_file() and not is_generated(path)
    }
    assert set(written) == on_disk
    for path, first in {path: int(path.startswith("src/")) for path in on_disk - {"README.md"}}.items():
        here = (EXAMPLE / path).read_text("utf-8")
        assert written[path].splitlines()[first:] == here.splitlines()[first:], path


@pytest.mark.parametrize("name", ["demo", "my-vendor", "my_vendor", "v2", "a"])
def test_a_valid_name_gives_a_valid_project(name: str) -> None:
    """Modules compile, pyproject.toml names the module, and the example's name does not occur."""
    names = project_names(name, taken=())
    files = project_files(names)

    for path, text in files.items():
        assert "acme" not in text.lower()
        assert "$" not in path
        if path.endswith(".py"):
            compile(text, path, "exec")
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["entry-points"]["polyrelay.providers"] == {name: names.module}
    assert f"src/{names.module}/__init__.py" in files


@pytest.mark.parametrize("name", ["", "My", "1", "a b", "a--b", "-a", "a-", "vendör", "../a", "polyrelay-a", "a" * 41])
def test_an_invalid_name_is_refused(name: str) -> None:
    """Names that a provider or distribution cannot have are refused before a file is written."""
    with pytest.raises(BadName):
        project_names(name, taken=())


def test_the_command_writes_the_project_and_prints_the_next_steps(run: Run, tmp_path: Path) -> None:
    """It prints every file and the next commands; the folder has the name of the project."""
    result = run("providers", "new", "demo")

    assert result.exit_code == 0
    assert "pip install" in result.stdout
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {f"polyrelay-demo/{path}" for path in project_files(project_names("demo", taken=()))}
    assert all(f"wrote {file}" in result.stdout for file in files)


def test_json_output_is_one_document(run: Run, tmp_path: Path) -> None:
    """It has the names, the folder and the files."""
    answer = json.loads(run("providers", "new", "my-vendor", "--dir", "here/it", "--format", "json").stdout)

    assert (answer["project"], answer["module"]) == ("polyrelay-my-vendor", "polyrelay_my_vendor")
    assert answer["folder"] == "here/it"
    assert all((tmp_path / file).is_file() for file in answer["files"])


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    """A folder that is not empty is refused and unchanged."""
    mine = tmp_path / "polyrelay-demo" / "pyproject.toml"
    mine.parent.mkdir()
    mine.write_text("mine")

    result = run("providers", "new", "demo")

    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert mine.read_text() == "mine"
    assert list(mine.parent.iterdir()) == [mine]


def test_the_name_of_an_installed_plugin_is_refused(run: Run, tmp_path: Path) -> None:
    """No server would load a second plugin called openai."""
    result = run("providers", "new", "openai")

    assert result.exit_code == 2
    assert "installed here already" in result.stderr
    assert list(tmp_path.iterdir()) == []


def is_generated(path: Path) -> bool:
    """Whether a tool generated the file, such as a cache of pytest."""
    return any(part == "__pycache__" or part.startswith(".") for part in path.relative_to(EXAMPLE).parts)
