"""`polyrelay providers new`."""

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
    help="Where the project goes; it must not exist or be empty.",
    show_default="polyrelay-NAME",
)
@FORMAT
def new_provider(name: str, folder: Path | None, output_format: str) -> None:
    """
    Write a plugin project for the provider NAME.

    A package that works as it is, with its tests and a small server in the vendor's place; make it your vendor's.
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
        f"  python tests/fake_{names.short}.py     # prints the settings with which the server uses it"
    )
