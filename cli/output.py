"""What commands print: results on standard output, everything else on standard error."""

import sys
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

FORMAT: Final = click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text for people, or one JSON document on standard output for programs.",
)
"""The option of every command that has a result."""


class Failed(Exception):
    """Ends a command with exit code 1: the text reaches people on standard error, without a stack trace."""

    exit_code = 1


class Misused(Failed):
    """Ends a command with exit code 2: settings or arguments are wrong."""

    exit_code = 2


class InterruptedByUser(Failed):
    """Ends a command with exit code 130, as the shell does for Ctrl-C."""

    exit_code = 130


def results() -> Console:
    """Standard output; made anew so that redirection is respected."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=True)


def errors() -> Console:
    """Standard error."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def report(message: str) -> None:
    """A message for people, beside the results."""
    errors().print(escape(message))


def print_json(value: object) -> None:
    """The one JSON document that a program reads."""
    encoded = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2)
    sys.stdout.write(encoded.decode() + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under headings; texts are shown as they are."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    Console(file=sys.stdout, highlight=False).print(table)


def print_failure(failure: Failed) -> None:
    """Print why a command ends."""
    errors().print(f"[bold red]error:[/] {escape(str(failure))}")
