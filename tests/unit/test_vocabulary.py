"""Vocabulary: code and prose use the field's terms, one word for one thing; see docs/reference/glossary.md."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PRODUCT: Final = ("polyrelay", "core", "services", "providers", "repositories", "api", "worker", "cli", "simulator")

RETIRED: Final = {
    "away": "unavailable",
    "told": "reported",
    "tell": "report",
    "tells": "reports",
    "spacing": "submit_interval",
    "crowded": "throttled",
    "bell": "notification",
    "bells": "notifications",
    "heal": "reconcile",
    "heals": "reconcile",
    "healed": "reconciled",
    "healing": "reconciliation",
    "wish": "cancellation_request",
    "wishes": "cancellation_requests",
    "dice": "random_source",
    "twin": "in_memory",
    "twins": "in_memory",
}
"""Words that names in the code do not contain, with the term that stands instead."""

FROZEN: Final = {
    "tell": "`tell` of files in Python's standard library",
    "heal_gates": "name of a lock in MongoDB, shared with workers of older versions",
    "heal_quotas": "name of a lock in MongoDB, shared with workers of older versions",
    ":bell": "end of a key in Redis, shared with workers of older versions",
    "0015-wish-to-cancel": "file of a decision page; links from outside lead there",
    "`healing`": "old name of a module, in the decision that renamed it",
}
"""Identifiers that contain a retired word all the same, with the reason."""

WAIT_QUEUES: Final = ("core/gates.py", "services/limits", "services/execution", "repositories")
"""Where `line` used to mean a wait queue; elsewhere it is a line of text."""

TEXT_LINES: Final = frozenset({"splitlines"})
"""Identifiers there that do mean lines of text."""

PROSE: Final = re.compile(r"\b(twins?|dice|heal(?:s|ed|ing)?|wish(?:es)?|crowded|bells?)\b", re.IGNORECASE)
"""Words that texts for people do not use either."""


def modules() -> Iterator[Path]:
    """All modules of the product."""
    for package in PRODUCT:
        yield from sorted((ROOT / package).rglob("*.py"))


def identifiers(path: Path) -> set[str]:
    """The names in a module."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def words(identifier: str) -> list[str]:
    """The words of a name in snake_case, CamelCase or UPPER_CASE."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)]


@pytest.mark.parametrize("package", PRODUCT)
def test_no_identifier_has_a_retired_word(package: str) -> None:
    """Names in the code use the field's terms; exceptions are frozen names, each with its reason."""
    found = {
        f"{path.relative_to(ROOT)}: {name} (say {RETIRED[word]})"
        for path in modules()
        if path.relative_to(ROOT).parts[0] == package
        for name in identifiers(path) - FROZEN.keys()
        for word in words(name)
        if word in RETIRED
    }

    assert sorted(found) == []


def test_a_circuit_is_a_circuit_breaker() -> None:
    """The word `circuit` does not stand alone in a name."""
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules()
        for name in identifiers(path)
        if re.search(r"circuits?(?!_?breaker)", name, re.IGNORECASE)
    }

    assert sorted(found) == []


def test_a_line_is_a_wait_queue() -> None:
    """Where tasks wait for gates, no name calls the wait queue a line."""
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules()
        if str(path.relative_to(ROOT)).startswith(WAIT_QUEUES)
        for name in identifiers(path) - TEXT_LINES
        if {"line", "lines"} & set(words(name))
    }

    assert sorted(found) == []


def test_every_exception_is_needed() -> None:
    """An exception that no module uses any more is taken off the list."""
    text = "".join(path.read_text("utf-8") for path in [*modules(), *pages()])

    assert [name for name in FROZEN if name not in text] == []


def pages() -> list[Path]:
    """The pages that people read."""
    found = [*ROOT.glob("README*.md"), ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in found if path.name != "glossary.md"]


def test_prose_uses_the_fields_terms() -> None:
    """Docstrings, comments, messages and pages do not use the retired words."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [*modules(), *pages()]
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if PROSE.search(_without_frozen(line))
    ]

    assert found == []


def _without_frozen(line: str) -> str:
    for name in FROZEN:
        line = line.replace(name, "")
    return line
