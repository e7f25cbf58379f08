"""The pages of decisions: their form, their index, and the dependencies that one of them explains."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

Pages = Callable[[str], str]
Tables = Callable[[str], list[list[str]]]

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "decisions"
DECISIONS = sorted(path.name for path in FOLDER.glob("[0-9]*.md"))
GIVEN = {"litestar", "granian", "arq", "redis", "motor", "httpx", "msgspec", "structlog", "pluggy", "polyrelay"} | {
    "pytest",
    "pytest-asyncio",
    "fakeredis",
}


def test_each_decision_has_a_number_of_its_own() -> None:
    """The first is 0001, and each number comes once. A number may be missing: its page may be written later."""
    numbers = [int(name[:4]) for name in DECISIONS]

    assert numbers[0] == 1
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_has_its_parts(name: str, page: Pages) -> None:
    """Its number as a heading, then context, decision and consequences, each once and in that order."""
    text = page(f"docs/decisions/{name}")

    assert text.startswith(f"# {name[:4]}: ")
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_the_index_lists_every_decision_under_its_title(rows: Tables, page: Pages) -> None:
    """Number, file and title of each page, in order."""
    titles = [page(f"docs/decisions/{name}").splitlines()[0].partition(": ")[2] for name in DECISIONS]

    listed = rows("docs/decisions/README.md")
    assert listed == [[f"[{name[:4]}]({name})", title] for name, title in zip(DECISIONS, titles, strict=True)]


def test_every_added_library_is_explained(rows: Tables, page: Pages) -> None:
    """Each dependency in pyproject.toml beside the given stack is in the table of decision 0004."""
    project = tomllib.loads(page("pyproject.toml"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    asked = {re.split(r"[\[<>=!~; ]", requirement)[0] for requirements in lists for requirement in requirements}

    explained = " ".join(row[0] for row in rows("docs/decisions/0004-added-libraries.md"))
    named = set(re.findall(r"[a-z0-9-]+", explained))
    assert asked - GIVEN - {"hatchling", "editables"} <= named, "hatchling and editables have decision 0003"
