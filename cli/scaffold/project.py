"""Writes a plugin project from the templates beside this module."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

import msgspec

from cli.scaffold.names import ProjectNames

_FILES: Final[Mapping[str, str]] = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "readme.md",
    "src/$module/__init__.py": "provider.py",
    "src/$module/py.typed": "py.typed",
    "tests/fake_$short.py": "fake_vendor.py",
    "tests/test_$short.py": "test_provider.py",
}
"""Path of each file in the project, and the name of its template."""


class FolderInUse(Exception):
    """The folder of the project exists and is not empty."""


def project_files(names: ProjectNames) -> dict[str, str]:
    """Contents of the files of a new project, by path."""
    values = msgspec.structs.asdict(names)
    templates = files("cli.scaffold") / "templates"
    return {
        Template(path).substitute(values): Template((templates / f"{template}.template").read_text("utf-8")).substitute(
            values
        )
        for path, template in _FILES.items()
    }


def write_project(names: ProjectNames, folder: Path) -> list[Path]:
    """
    Write a new project into a folder that does not exist or is empty, and return its files.

    Raises:
        FolderInUse: The folder is not empty, or is a file.
        OSError: A file cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderInUse(f"{folder} exists already and is not an empty folder")
    written = []
    for path, text in project_files(names).items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        written.append(file)
    return written
