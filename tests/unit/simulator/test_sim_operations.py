"""Phases of operations, and the choice of faults for calls."""

import pytest

from simulator.faults import (
    Backwards,
    CutAfter,
    Expired,
    FailGeneration,
    Fault,
    FaultRequest,
    FaultRules,
    Hang,
    NeverEnds,
)
from simulator.operations import Operation, Operations, Phase


def operation(fault: Fault | None = None, *, name: str = "1", latency_s: float = 100.0) -> Operation:
    """An operation that began at time 0."""
    return Operation(
        id=name, family="visual.sync2async", kind="visual.submit", model="m", prompt="猫", request=None,
        created_at=0.0, latency_s=latency_s, fault=fault,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "phases"),
    [
        (None, ["queued", "running", "running", "succeeded"]),
        (Expired(), ["queued", "running", "running", "expired"]),
        (FailGeneration(code=50511), ["queued", "running", "running", "failed"]),
        (NeverEnds(), ["queued", "running", "running", "running"]),
        (Backwards(), ["queued", "running", "queued", "succeeded"]),
    ],
)
def test_an_operation_goes_through_its_phases(fault: Fault | None, phases: list[str]) -> None:
    """A quarter of the time queued, then running, then the end that its fault causes."""
    assert [operation(fault).phase(now).value for now in (0.0, 30.0, 60.0, 100.0)] == phases


def test_a_fault_of_one_query_affects_that_answer_only() -> None:
    """A generation fault of the query replaces that of the operation; a transport fault does not."""
    failed = operation(FailGeneration(code=50511))
    assert failed.phase(100.0, Backwards()) is Phase.QUEUED
    assert failed.phase(100.0, Hang(seconds=1)) is Phase.FAILED
    assert failed.phase(100.0) is Phase.FAILED


def test_open_operations_are_counted_at_their_peak() -> None:
    """Ended and cancelled operations are not open; one that never ends is."""
    now = 0.0
    operations = Operations(lambda: now)
    endless, quick = operation(NeverEnds(), name="endless"), operation(name="quick", latency_s=10.0)
    for each in (endless, quick, operation(name="slow")):
        operations.add(each)
    assert operations.open() == 3
    now = 50.0
    operations.cancel(endless)
    assert (operations.open(), operations.max_open) == (1, 3)


def test_an_operation_is_unknown_to_another_family() -> None:
    """A task submitted with one Action cannot be queried with the other family's."""
    operations = Operations(lambda: 0.0)
    operations.add(operation())
    assert operations.find("visual.sync2async", "1") is not None
    assert operations.find("visual.task", "1") is None


@pytest.mark.parametrize(
    ("pattern", "prompt", "hits"),
    [
        ("visual.submit", None, True),
        ("visual.*", None, True),
        ("*", "猫", True),
        ("ark.*", None, False),
        ("visual.submit", "狗", False),
    ],
)
def test_a_fault_applies_to_the_calls_that_its_rule_matches(pattern: str, prompt: str | None, hits: bool) -> None:
    """A rule matches by call kind or pattern, and by text in the prompt."""
    rules = FaultRules()
    rules.add(FaultRequest(kind=pattern, prompt=prompt, fault=CutAfter()))
    assert (rules.next_for("visual.submit", "一只猫") is not None) is hits


def test_a_fault_applies_a_limited_number_of_times() -> None:
    """A rule applies `times` times, then the next rule does; with None it applies to every call."""
    rules = FaultRules()
    rules.add(FaultRequest(kind="*", times=2, fault=CutAfter()))
    rules.add(FaultRequest(kind="*", times=None, fault=Expired()))
    faults = [rules.next_for("ark.images", "") for _ in range(4)]
    assert faults == [CutAfter(), CutAfter(), Expired(), Expired()]
    assert [rule.hits for rule in rules.all()] == [2, 2]
