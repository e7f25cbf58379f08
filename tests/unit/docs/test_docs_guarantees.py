"""The page of guarantees: it has eleven promises, and names tests that exist."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from core.settings import Settings
from services.execution.plugin_calls import LAST_RESPONSE_S

FOLDER: Final = Path(__file__).resolve().parents[3]
PAGE: Final = "docs/explanation/guarantees.md"
TEXT: Final = (FOLDER / PAGE).read_text("utf-8")
NAMED: Final = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
PROMISES: Final = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:-1]
Pages = Callable[[str], str]


def test_all_eleven_promises_are_there() -> None:
    """Each has its number, in order; the section about all of them comes last."""
    assert [section.partition(".")[0] for section in PROMISES] == [str(number) for number in range(1, 12)]


@pytest.mark.parametrize("section", PROMISES, ids=lambda section: section.splitlines()[0])
def test_a_promise_names_tests_or_says_not_there_yet(section: str) -> None:
    """A section has a list of tests, or says that the promise is not there yet."""
    assert "**Not there yet.**" in section or "\nTests:\n\n- `tests/" in section


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)), ids=[name for _, name in sorted(set(NAMED))])
def test_a_named_test_exists(path: str, name: str) -> None:
    """The file has a test function, or a method of a contract, of that name."""
    tree = ast.parse((FOLDER / path).read_text("utf-8"))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}

    assert name.startswith("test_")
    assert name in functions


def test_every_mention_of_a_test_is_checked() -> None:
    """No name of a test is written in a form that the check above would miss."""
    assert len(re.findall(r"tests/[^\s`]*", TEXT)) == len(NAMED) > 0


def test_the_times_are_those_of_the_settings(page: Pages) -> None:
    """Defaults, the time of a takeover, and the time that a call at the deadline may still take."""
    text, settings = " ".join(page(PAGE).split()), Settings()

    assert f"`LEASE_S` {settings.lease_s:g} s, `RECONCILE_S` {settings.reconcile_s:g} s" in text
    assert f"`SHUTDOWN_GRACE_S` {settings.shutdown_grace_s:g} s" in text
    assert f"`LEASE_S` + `RECONCILE_S`: {settings.lease_s + settings.reconcile_s:g} s" in text
    assert f"may take {LAST_RESPONSE_S:g} s more" in text
    assert f"at most `AI_TIMEOUT` ({settings.ai_timeout_s:g} s)" in text
