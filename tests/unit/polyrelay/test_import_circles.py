"""The modules of `polyrelay` import each other in one direction only."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def modules(package: Path) -> dict[str, Path]:
    """Files of the package by module name."""
    return {
        ".".join(
            (path.parent if path.stem == "__init__" else path.with_suffix("")).relative_to(package.parent).parts
        ): path
        for path in package.rglob("*.py")
    }


def imports(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """For each module the modules that it names in an import, also inside of functions and under TYPE_CHECKING."""
    return {module: set(_imported(ast.parse(path.read_text("utf-8")), files)) for module, path in files.items()}


def _imported(tree: ast.AST, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found = {name if name in files else str(node.module) for name in names}
            yield from (name for name in found if name in files)
        elif isinstance(node, ast.ImportFrom):
            raise NotImplementedError("relative imports are not followed")


def test_no_modules_of_the_public_package_import_each_other_in_a_circle() -> None:
    """No chain of imports leads back to its module; imports under TYPE_CHECKING and in functions count as well."""
    files = modules(ROOT / "polyrelay")
    assert {"polyrelay", "polyrelay.http", "polyrelay.errors", "polyrelay.client.calls"} <= set(files)

    list(TopologicalSorter(imports(files)).static_order())  # raises CycleError, which names the modules


def test_a_circle_under_type_checking_is_found(tmp_path: Path) -> None:
    """The check sees imports that only a type checker reads, and submodules that are imported by their package."""
    package = tmp_path / "circle"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from circle import two\n")
    (package / "two.py").write_text("def later():\n    from circle.one import name\n    return name\n")

    with pytest.raises(CycleError, match="cycle"):
        list(TopologicalSorter(imports(modules(package))).static_order())
