"""Command `polyrelay providers new`: writes a plugin project."""

from importlib.metadata import entry_points
from pathlib import Path

import rich_click as click

from cli.output import FORMAT, Failed, Misused, print_json
from cli.scaffold.names import BadName, ProjectNames, project_names
from cli.scaffold.project import FolderInUse, write_project
from polyrelay.hooks import ENTRY_POINTS


@click.command(name="new")
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder of the project. It must not exist, or must be empty.",
    show_default="polyrelay-NAME",
)
@FORMAT
def new_provider(name: str, folder: Path | None, output_format: str) -> None:
    """
    Write a plugin project for a new provider NAME.

    The project is a working package with tests and a small server that stands in for the vendor. Replace the calls
    of the example vendor by those of yours. NAME has at most 40 lower-case letters and digits, with single - or _
    between them. No file is overwritten.

    Example: polyrelay providers new my-vendor
    """
    names = _names(name)
    folder = folder or Path(names.project)
    try:
        written = write_project(names, folder)
    except FolderInUse as error:
        raise Misused(f"{error}; choose another one with --dir") from error
    except OSError as error:
        raise Failed(f"{folder} cannot be written: {error.strerror}") from error
    if output_format == "json":
        print_json(_document(names, folder, written))
        return
    _print_text(names, folder, written)


def _names(name: str) -> ProjectNames:
    try:
        return project_names(name, taken={found.name for found in entry_points(group=ENTRY_POINTS)})
    except BadName as error:
        raise Misused(str(error)) from error


def _document(names: ProjectNames, folder: Path, written: list[Path]) -> dict[str, object]:
    return {
        "provider": names.name,
        "project": names.project,
        "module": names.module,
        "folder": str(folder),
        "files": [str(file) for file in written],
    }


def _print_text(names: ProjectNames, folder: Path, written: list[Path]) -> None:
    for file in written:
        click.echo(f"wrote {file}")
    click.echo(
        f"\nNext:\n"
        f"  cd {folder}\n"
        f"  pip install -e '.[test]'\n"
        f"  pytest\n"
        f"  polyrelay providers check {names.name}\n"
        f"  python tests/fake_{names.short}.py     # prints the settings for a server that uses it"
    )
