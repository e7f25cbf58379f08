"""The command line: version, help, errors, and the reference page."""

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
import rich_click

from cli.main import main
from tests.unit.cli.fake_api import Run

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def commands(command: click.Command = main, name: str = "polyrelay") -> Iterator[tuple[str, click.Command]]:
    """All commands that are not groups, with their full names."""
    if isinstance(command, click.Group):
        context = rich_click.RichContext(command)
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None
            yield from commands(found, f"{name} {sub}")
    else:
        yield name, command


def options_of(command: click.Command) -> set[str]:
    return {text for option in command.params if isinstance(option, click.Option) for text in option.opts}


def help_of(name: str, command: click.Command) -> str:
    """The help text of an option, without its default."""
    (option,) = (option for option in command.params if isinstance(option, click.Option) and name in option.opts)
    return re.sub(r"\s*\[default: .*\]$", "", option.help or "")


def sections() -> dict[str, str]:
    """The page's text by command."""
    found = re.split(r"^## `(polyrelay [^`]+)`$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def test_the_version_is_that_of_the_distribution(run: Run) -> None:
    """`--version` prints the program and its version."""
    assert run("--version").stdout == f"polyrelay {version('polyrelay')}\n"


@pytest.mark.parametrize("args", [(), *(tuple(name.split()[1:]) for name, _ in commands())])
def test_every_command_has_help(run: Run, args: tuple[str, ...]) -> None:
    """`-h` prints it and ends with exit code 0."""
    result = run(*args, "-h")

    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_the_reference_lists_every_command() -> None:
    """The page has a section for each command, and none for one that does not exist."""
    assert set(sections()) == {name for name, _ in commands()}


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_the_reference_lists_every_option(name: str, command: click.Command) -> None:
    """The rows of a section are exactly the options of the command."""
    rows = re.findall(r"^\| `(--[\w-]+)", sections()[name], re.MULTILINE)

    assert set(rows) == options_of(command)


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_the_reference_has_the_help_of_every_option(name: str, command: click.Command) -> None:
    """The meaning of an option in the page is its help text in the command."""
    meanings = dict(re.findall(r"^\| `(--[\w-]+)[^\n]*\| ([^|]+) \|$", sections()[name], re.MULTILINE))

    helps = {option: help_of(option, command) for option in options_of(command)}
    assert meanings == helps


@pytest.mark.parametrize("command", ["api", "worker", "dev"])
def test_wrong_settings_end_with_exit_code_2_and_no_trace(run: Run, command: str) -> None:
    """Each invalid setting is named with its value."""
    result = run(command, PORT="many", LOG_LEVEL="loud")

    assert result.exit_code == 2
    assert "PORT='many'" in result.stderr
    assert "LOG_LEVEL='loud'" in result.stderr
    assert "Traceback" not in result.output


def test_an_unknown_command_ends_with_exit_code_2(run: Run) -> None:
    """A mistyped command is a usage error."""
    assert run("deploy").exit_code == 2
