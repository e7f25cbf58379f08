"""Output of commands: results on standard output, messages on standard error, and the exceptions with exit codes."""

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
"""The option --format of every command that has a result."""


class Failed(Exception):
    """Ends a command with exit code 1. Its text is printed on standard error, without a stack trace."""

    exit_code = 1


class Misused(Failed):
    """Ends a command with exit code 2: settings or arguments are wrong."""

    exit_code = 2


class InterruptedByUser(Failed):
    """Ends a command with exit code 130, as shells report Ctrl-C."""

    exit_code = 130


def results() -> Console:
    """A console on standard output. Made for each call, so that redirection is respected."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=True)


def errors() -> Console:
    """A console on standard error."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def print_message(message: str) -> None:
    """Print a message for people on standard error."""
    errors().print(escape(message))


def print_json(value: object) -> None:
    """Print a value as one JSON document on standard output."""
    encoded = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2)
    sys.stdout.write(encoded.decode() + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on standard output. Texts are printed literally, without markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    Console(file=sys.stdout, highlight=False).print(table)


def print_error(error: Failed) -> None:
    """Print the error that ends a command, on standard error."""
    errors().print(f"[bold red]error:[/] {escape(str(error))}")
