"""The tables of metrics, and the numbers of the gates, are compared with the code."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from api.metrics import CIRCUIT_BREAKER_STATES, Metrics, gates_text
from core.attempts import Attempt
from core.control import Stall
from core.errors import TooManyTasks
from core.gates import CircuitBreakerView, GateView
from core.priorities import WEIGHTS
from core.registry import PluginReport, Registry
from core.task_states import State
from core.tasks import Task
from polyrelay import Provider, TaskType
from repositories.gate_rules import GateRules
from services.execution.submit import UNAVAILABLE_SPREAD_S
from services.limits.admission import _GRACE
from services.runtime.process_metrics import process_text
from worker.metrics import WorkerMetrics

PAGE: Final = "docs/reference/metrics.md"
NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
TASK: Final = Task(
    id="task_1", type=TaskType.IMAGE, provider="p", model="m", user_id="u", created=NOW, updated=NOW, deadline=NOW
).to(State.SUBMITTING, now=NOW, attempts=(Attempt(number=1, provider="p", model="m", started=NOW),))
Pages = Callable[[str], str]
Tables = Callable[[str], list[list[str]]]


def everything() -> str:
    """The metrics of API, worker and every process, with a sample of each."""
    api = Metrics()
    api.request(method="GET", route="/", status=200, duration_s=0.1)
    api.created(TASK)
    api.refused(TooManyTasks("full", retry_after_s=1))
    api.refused_caller("unauthenticated")
    worker = WorkerMetrics()
    worker.changed(TASK)
    worker.changed(TASK.to(State.COMPLETED, now=NOW))
    gates = [GateView(name="model:p/m", held=1, queued=0, limit=2.0)]
    stall = Stall(plugin="p", count=1, longest_s=2.0, last=NOW, where="p:1 submit")
    common = process_text(Registry([Provider("p", [])], [PluginReport(name="p")]), [stall], 1)
    return (
        common.decode()
        + (api.text() + gates_text(gates, [CircuitBreakerView(account="p", state="open", failures=5)])).decode()
        + (worker.text(running=1).decode())
    )


def test_the_page_lists_every_metric_as_it_is_reported(rows: Tables) -> None:
    """Name, type, labels and meaning of each metric of API and worker, and no other."""
    reported = {
        f"`{family.name}{'_total' if family.type == 'counter' else ''}`": [
            family.type,
            ", ".join(sorted({f"`{label}`" for sample in family.samples for label in sample.labels} - {"`le`"})),
            family.documentation,
        ]
        for family in text_string_to_metric_families(everything())
    }

    listed = {row[0]: [row[1], ", ".join(sorted(filter(None, row[2].split(", ")))), row[3]] for row in rows(PAGE)}
    assert listed == reported


def test_no_page_names_a_metric_that_does_not_exist(rows: Tables, page: Pages, root: Path) -> None:
    """A name in the running text of any page is one of the table's."""
    known = {row[0].strip("`") for row in rows(PAGE)}

    for path in ("README.md", *(str(each.relative_to(root)) for each in (root / "docs").rglob("*.md"))):
        named = set(
            re.findall(
                r"\bpolyrelay_(?:gate|circuit|http|task|tasks|steps|submits|provider|plugin|event|resident|requests)_?[a-z_]*",
                page(path),
            )
        )
        assert named <= known, path


def test_the_states_of_a_circuit_breaker_are_named(page: Pages) -> None:
    """The values of the label `state`."""
    assert all(f"`{state}`" in page(PAGE) for state in CIRCUIT_BREAKER_STATES)


def test_the_numbers_of_the_gates_are_those_of_the_code(page: Pages) -> None:
    """Weights, circuit breaker and wait queue: the numbers of the page are those of the code."""
    text, rules = " ".join(page("docs/explanation/gates.md").split()), GateRules()

    assert rules.weights == tuple(WEIGHTS.values()) == (6, 3, 1)
    assert "six, three and one of ten turns" in text
    assert f"after {rules.open_after} responses `unavailable` in a row" in text
    assert f"For {rules.open_for.total_seconds():g} s nothing is submitted" in text
    assert f"at most {rules.open_for_most.total_seconds() / 60:g} minutes" in text
    assert f"reports nothing within {rules.probe_for.total_seconds():g} s" in text
    assert (
        f"does not ask within {(rules.wait_queue_check + rules.wait_queue_late).total_seconds() / 60:g} minutes" in text
    )
    assert rules.kept == timedelta(days=1)
    assert "was not used for a day" in text
    assert f"again within {UNAVAILABLE_SPREAD_S:g} s after the circuit breaker lets a probe through" in text
    assert timedelta(minutes=2) == _GRACE
    assert "two minutes after the task's deadline" in text
