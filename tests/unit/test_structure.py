"""The layout: folders, wheel, public names and the direction of imports."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import polyrelay

ROOT = Path(__file__).parents[2]
PACKAGES = ["polyrelay", "core", "services", "providers", "repositories", "api", "worker", "cli", "simulator"]
LONGEST_MODULE = 300
MOST_PARAMETERS = 9


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", PACKAGES)
def test_each_folder_of_the_design_is_a_package(name: str) -> None:
    """The folders of the design stand at the root as plain import packages, with all folders below them."""
    folders = {path.parent for path in (ROOT / name).rglob("*.py")}
    assert ROOT / name in folders
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []
    importlib.import_module(name)


def test_the_wheel_holds_every_package() -> None:
    """What is in a folder of the design is in the wheel, and nothing else is."""
    assert project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == PACKAGES
    assert project()["tool"]["importlinter"]["root_packages"] == PACKAGES


def test_public_names_exist_and_are_sorted_out() -> None:
    """`polyrelay.__all__` has each name once, every one of them exists, and nothing public is left out."""
    names = polyrelay.__all__
    assert len(set(names)) == len(names)
    public = {
        name for name, value in vars(polyrelay).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(names)


@pytest.mark.parametrize("name", polyrelay.__all__)
def test_every_public_class_and_function_says_what_it_does(name: str) -> None:
    """Each public class and function, and each public method of a class, has a docstring of its own."""
    value = getattr(polyrelay, name)
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return
    assert inspect.getdoc(value)
    methods = [
        f"{name}.{member}"
        for member, method in vars(value).items()
        if inspect.isfunction(method) and not member.startswith("_") and not method.__doc__
    ]
    assert methods == []


def test_no_module_is_a_drawer() -> None:
    """No module or folder is called utils, common or helpers."""
    drawers = {"utils", "util", "common", "helpers", "helper", "misc"}
    paths = list(modules())
    assert len(paths) > len(PACKAGES)
    assert [path for path in paths if {path.stem, path.parent.name} & drawers] == []


def test_the_wheel_holds_no_in_memory_adapter() -> None:
    """Adapters that keep their data in memory are for tests; they are in `tests/fakes`."""
    classes = {
        node.name
        for name in PACKAGES
        for path in (ROOT / name).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    assert "MongoTaskRepository" in classes
    assert [name for name in classes if re.match(r"Memory[A-Z]", name)] == []


def modules() -> Iterator[Path]:
    """All modules of the wheel."""
    for name in PACKAGES:
        yield from (ROOT / name).rglob("*.py")


def test_no_module_outgrows_a_head() -> None:
    """A module has at most 300 lines: what is longer is two concepts."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in modules()}
    assert {path: length for path, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_no_constructor_takes_too_much() -> None:
    """A constructor has at most nine parameters: what needs more is two classes, or takes a value of options."""
    found = {
        f"{path.relative_to(ROOT)}: {owner.name}": len(parameters)
        for path in modules()
        for owner in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(owner, ast.ClassDef)
        for method in owner.body
        if isinstance(method, ast.FunctionDef) and method.name == "__init__"
        for parameters in [[*method.args.posonlyargs, *method.args.args[1:], *method.args.kwonlyargs]]
        if len(parameters) > MOST_PARAMETERS
    }
    assert found == {}


def test_every_module_says_what_it_is() -> None:
    """Each module with code in it begins with a docstring whose first line names its concept."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in modules()}
    silent = [path for path, tree in trees.items() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def test_no_module_of_services_lies_flat() -> None:
    """Each service stands in the folder of its theme."""
    assert [path.name for path in (ROOT / "services").glob("*.py")] == ["__init__.py"]


def test_entry_points_can_be_loaded() -> None:
    """The providers that come with the server, and its command, are where pyproject.toml says."""
    declared = project()["project"]
    for target in [*declared["entry-points"]["polyrelay.providers"].values(), *declared["scripts"].values()]:
        module, _, attribute = target.partition(":")
        found = importlib.import_module(module)
        assert not attribute or callable(getattr(found, attribute))


def test_the_public_package_needs_only_the_base_dependencies() -> None:
    """A plugin author's environment needs nothing but what the base installs."""
    allowed = {re.split(r"[^\w-]", line)[0] for line in project()["project"]["dependencies"]} | {"polyrelay"}
    allowed |= set(sys.stdlib_module_names)
    imported = {
        (path.name, match.split(".")[0])
        for path in (ROOT / "polyrelay").rglob("*.py")
        for match in re.findall(r"^(?:from|import) ([\w.]+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert [(file, module) for file, module in sorted(imported) if module not in allowed] == []


def test_imports_point_down() -> None:
    """Every contract of import-linter is kept."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
        "--no-cache",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
