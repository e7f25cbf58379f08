"""The reference page of the API against the code."""

import re
from pathlib import Path

import msgspec
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import Metrics, gates_text
from api.openapi.document import document
from api.requests import ListQuery
from api.routes.audit import AuditListQuery
from api.views.tasks import FailureView, ResultView, TaskSummaryView, TaskView
from core.control import Stall
from core.errors import TooManyTasks
from core.gates import CircuitBreakerView, GateView
from services.runtime.process_metrics import process_text
from services.tasks.create_fields import CommonFields, Fallback
from tests.unit.api.api_fixture import NOW, a_task, api_registry

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "api.md").read_text("utf-8")


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the table whose first column has that heading, by their first cell."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return {row[0].strip("`"): row[1:] for row in rows}


def tables(heading: str) -> list[str]:
    """The first cells of all tables with that heading, in order."""
    parts = PAGE.split(f"| {heading} |")[1:]
    return [cell for part in parts for cell in re.findall(r"^\| `([^`]+)` \|", part.split("\n\n")[0], re.MULTILINE)]


def test_every_call_is_listed() -> None:
    """The calls of the page are those of the OpenAPI description."""
    paths = msgspec.json.decode(document(api_registry()))["paths"]

    assert set(table("Call")) == {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def test_every_field_of_a_task_is_listed() -> None:
    """What a caller may send and what it reads is on the page, in the order of the code."""
    sent_and_read = [*CommonFields.__struct_fields__, *TaskView.__struct_fields__]

    assert tables("Field") == sent_and_read
    assert list(table("Field of a result")) == list(ResultView.__struct_fields__)
    assert list(table("Field of a fallback")) == list(Fallback.__struct_fields__)
    assert list(table("Parameter")) == list(ListQuery.__struct_fields__)
    assert list(table("Filter")) == list(AuditListQuery.__struct_fields__)


def test_fields_in_the_text_are_listed_in_full() -> None:
    """Failures and tasks of a list are listed with all of their fields."""
    for kind in (FailureView, TaskSummaryView):
        assert names(kind) in re.sub(r"[`\s]|and", "", PAGE).replace(",", ""), kind


def names(kind: type[Struct]) -> str:
    """The names of the fields in a row."""
    return "".join(kind.__struct_fields__)


def test_every_metric_is_listed_with_its_labels() -> None:
    """The page's metrics, labels and meanings are those of the code."""
    metrics = Metrics()
    metrics.request(method="GET", route="/x", status=200, duration_s=0.1)
    metrics.created(a_task())
    metrics.refused(TooManyTasks("full", retry_after_s=1))
    metrics.refused_caller("unauthenticated")
    found = {}
    gate = GateView(name="provider:lab", held=1, queued=2, limit=3.0)
    gates = gates_text([gate], [CircuitBreakerView(account="lab", state="closed", failures=0)])
    stall = Stall(plugin="lab-plugin", count=1, longest_s=2.0, last=NOW, where="lab:1 submit")
    common = process_text(api_registry(), [stall], 1)
    for family in text_string_to_metric_families((metrics.text() + gates + common).decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[name] = (labels, family.documentation)

    listed = {name: (set(re.findall(r"`(\w+)`", row[0])), row[1]) for name, row in table("Metric").items()}
    assert listed == found
