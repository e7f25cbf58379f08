"""How many modules one step passes: who reads a step must not have to open more files than that."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from core.task_states import State
from tests.unit.services.execution_fixture import TEXT, ExecutionFixture, ScriptedService

ROOT: Final = Path(__file__).parents[4]
MOST_MODULES: Final = 22
FOLDERS: Final = frozenset({"worker", "services", "core", "repositories", "polyrelay"})


def module_of(frame: FrameType | None) -> str | None:
    """The module of ours whose function runs in that frame, or None."""
    path = Path(frame.f_code.co_filename) if frame is not None else Path()
    parts = path.relative_to(ROOT).with_suffix("").parts if path.is_relative_to(ROOT) else ("",)
    return ".".join(parts) if parts[0] in FOLDERS else None


def caller_of(frame: FrameType) -> str | None:
    """The nearest module of ours that called it, or None."""
    before = frame.f_back
    while before is not None and module_of(before) is None:
        before = before.f_back
    return module_of(before)


@contextmanager
def passed() -> Iterator[list[tuple[str, str | None]]]:
    """Each call of a function of ours within the block: its module, and that of its caller."""
    calls: list[tuple[str, str | None]] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and (module := module_of(frame)) is not None:
            calls.append((module, caller_of(frame)))

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


async def test_a_text_task_that_completes_in_one_step_passes_few_modules() -> None:
    """At most 22 modules of ours, without the vendor's, and no module calls back into the modules of the step."""
    execution_fixture = ExecutionFixture(ScriptedService(submit=[TEXT]))
    task_id = await execution_fixture.new_task()
    await execution_fixture.step("task_unknown")  # what is imported or built once is not counted

    with passed() as calls:
        await execution_fixture.step(task_id)

    assert (await execution_fixture.task(task_id)).state is State.COMPLETED
    modules = {module for module, _ in calls}
    assert len(modules) <= MOST_MODULES, sorted(modules)
    callers = {"services.execution.step": None, "services.execution.submit": "services.execution.step"}
    for module, caller in callers.items():
        assert {each for called, each in calls if called == module} == {caller, module}
