"""Reading pages: tables, code blocks, links."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

ROOT = Path(__file__).resolve().parents[3]

Pages: TypeAlias = Callable[[str], str]
Tables: TypeAlias = Callable[[str], list[list[str]]]
Blocks: TypeAlias = Callable[[str, str], list[str]]


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def page() -> Pages:
    """The text of a file of the checkout."""
    return lambda path: (ROOT / path).read_text("utf-8")


@pytest.fixture
def rows(page: Pages) -> Tables:
    """The rows of all tables of a page, without headings, as texts of cells."""

    def read(path: str) -> list[list[str]]:
        lines = page(path).splitlines()
        cells = [
            [cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines if line.startswith("|")
        ]
        rules = [index for index, row in enumerate(cells) if set("".join(row)) <= {"-"} and "-" in row[0]]
        headings = {index - 1 for index in rules} | set(rules)
        return [row for index, row in enumerate(cells) if index not in headings]

    return read


@pytest.fixture
def blocks(page: Pages) -> Blocks:
    """The code blocks of a page in a language."""

    def read(path: str, language: str) -> list[str]:
        return re.findall(rf"^```{language}\n(.*?)^```$", page(path), re.MULTILINE | re.DOTALL)

    return read
