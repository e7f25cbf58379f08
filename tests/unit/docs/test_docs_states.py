"""The state chart and the numbers of the task's life against the code."""

import re
from collections.abc import Callable

from core import retries
from core.settings import Settings
from core.task_states import FINAL, MOVES, PHASES, State, Status
from services.execution.plugin_calls import LAST_RESPONSE_S
from services.execution.vendor_cancel import CANCEL_TIMEOUT_S

PAGE = "docs/explanation/task-life.md"
Pages = Callable[[str], str]
Blocks = Callable[[str, str], list[str]]


def test_the_chart_has_exactly_the_moves_of_the_table(blocks: Blocks) -> None:
    """Every arrow between states is a move, and every move an arrow."""
    (chart,) = blocks(PAGE, "mermaid")
    arrows = re.findall(r"^ +(\w+) --> (\w+)", chart, re.MULTILINE)

    assert len(arrows) == len(set(arrows))
    assert {(State(old), State(new)) for old, new in arrows} == {(old, new) for old in MOVES for new in MOVES[old]}


def test_the_chart_begins_and_ends_where_tasks_do(blocks: Blocks) -> None:
    """A task begins pending; the chart ends in the states that are final and have no move."""
    (chart,) = blocks(PAGE, "mermaid")

    assert re.findall(r"\[\*\] --> (\w+)", chart) == ["pending"]
    assert set(re.findall(r"(\w+) --> \[\*\]", chart)) == {state.value for state in FINAL if not MOVES[state]}


def test_every_status_and_phase_is_named(page: Pages) -> None:
    """The text names every status and phase."""
    for word in (*Status, *PHASES):
        assert f"`{word.value}`" in page(PAGE)


def test_the_numbers_are_those_of_the_code(page: Pages) -> None:
    """Limits and times in the text are those that decide."""
    text = " ".join(page(PAGE).split())

    assert f"up to {retries.LONGEST_DELAY_S:g} s" in text
    assert f"at most {retries.LONGEST_RETRY_AFTER_S:g} s" in text
    assert f"at most {retries.MAX_ATTEMPTS} attempts" in text
    assert f"asks the vendor to stop where the service can, for at most {CANCEL_TIMEOUT_S:g} s" in text
    assert f"then asks the vendor for at most {CANCEL_TIMEOUT_S:g} s" in text
    assert f"may take {LAST_RESPONSE_S:g} s more" in text
    assert (retries.MAX_GENERATIONS, retries.MAX_DAMAGED_POLLS, retries.MAX_COPIES) == (3, 10, 6)
    assert f"again after {retries.FIRST_DELAY_S:g} s" in text
    assert f"({Settings().lease_s:g} s and {Settings().reconcile_s:g} s)" in text
