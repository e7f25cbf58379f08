"""The report of a run: counts, violated invariants and the log of faults, as a table or as JSON."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
from msgspec import Struct

from core.attempts import Attempt
from core.task_states import State
from core.tasks import Task
from tests.chaos.evidence import Evidence, VendorCall, Version, Violation, indented_json
from tests.chaos.fault_injection import ChaosEvent

_MOST_SHOWN = 10
_AROUND = timedelta(seconds=10)


class Report(Struct, frozen=True, kw_only=True):
    """
    The report of one run.

    Attributes:
        counts: Numbers by group and name.
        command: The shell command that repeats the run.
    """

    seed: int
    seconds: float
    command: str
    counts: Mapping[str, Mapping[str, float]]
    violations: Sequence[Violation]
    log: Sequence[ChaosEvent]

    def json(self) -> str:
        """The report as JSON."""
        return msgspec.json.encode(self).decode()

    def table(self) -> str:
        """The report as a table, without the violations."""
        lines = [f"chaos of {self.seconds:g} s with seed {self.seed}; repeat with: {self.command}"]
        for group, counts in self.counts.items():
            lines += ["", group, *(f"  {name:<44} {_number(value):>8}" for name, value in counts.items())]
        lines += ["", f"violated invariants: {len(self.violations)}"]
        return "\n".join(lines)


def counts_of(
    evidence: Evidence, answers: Mapping[str, int], log: Sequence[ChaosEvent]
) -> Mapping[str, Mapping[str, float]]:
    """The numbers of a run, by group and name."""
    tasks = evidence.tasks.values()
    all_tasks = evidence.last_known().values()
    ended = [task for task in tasks if task.state.final]
    deleted = evidence.deletable() - evidence.tasks.keys()
    attempts = [attempt for task in all_tasks for attempt in task.attempts]
    return {
        "client": {
            **{f"creates answered {answer}": count for answer, count in sorted(answers.items())},
            **{
                f"{call} answered {status or 'nothing'}": count
                for (call, status), count in sorted(_client_calls(evidence))
            },
        },
        "tasks": {
            "created (201)": len(evidence.created),
            "= terminal": sum(_answered(evidence, task) for task in ended),
            "+ open": sum(_answered(evidence, task) for task in tasks if not task.state.final),
            "+ deleted by the client": len(deleted & {created_task.task_id for created_task in evidence.created}),
            "created, response lost": sum(not _answered(evidence, task) for task in all_tasks),
            **{f"ended {state.value}": count for state, count in sorted(Counter(task.state for task in ended).items())},
            **{f"failed with {code}": count for code, count in sorted(_codes(ended).items())},
            "served by a fallback": sum(task.choice > 0 and task.state is State.COMPLETED for task in ended),
            "explicit retries": sum(task.retried is not None for task in all_tasks),
        },
        "vendor": {
            "stored attempts": len(attempts),
            "submits received": sum(submits.received for submits in evidence.submits.values()),
            "submits accepted": sum(submits.accepted for submits in evidence.submits.values()),
            "calls with a fault": sum(call.fault is not None for call in evidence.calls),
            **{f"  {fault}": n for fault, n in sorted(Counter(c.fault for c in evidence.calls if c.fault).items())},
            **{f"attempts ended {code}": n for code, n in sorted(_attempt_codes(attempts).items())},
        },
        "recovery": {
            "writes to tasks": sum(map(len, evidence.histories.values())),
            "outages": len(evidence.outages),
            "longest outage, s": round(
                max(((end - start).total_seconds() for start, end in evidence.outages), default=0.0), 2
            ),
            "latest end after a deadline, s without outage": _latest_end(evidence, ended),
            "longest expired lease, s without outage": _longest_expired_lease(evidence),
        },
        "injected faults": dict(sorted(Counter(_kind(event.what) for event in log).items())),
    }


def explain(violation: Violation, evidence: Evidence, log: Sequence[ChaosEvent]) -> str:
    """A violation with everything that is known about its task."""
    lines = [f"VIOLATED {violation.invariant}: task {violation.task_id}: {violation.what}"]
    task = evidence.last_known().get(violation.task_id or "")
    if task is None:
        return "\n".join(lines)
    lines += ["stored task:", indented_json(task), "history:"]
    lines += [f"  {_line(version)}" for version in evidence.history(task.id)]
    lines += ["calls at the simulated vendor:"]
    lines += [f"  {_call(call)}" for call in sorted(evidence.calls) if call.prompt == task.prompt]
    lines += ["calls of the client:", *(f"  {call}" for call in evidence.client_calls if call.task_id == task.id)]
    lines += ["injected faults:", *(f"  {event.at:%H:%M:%S.%f} {event.what}" for event in log if _near(event, task))]
    return "\n".join(lines)


def explained(violations: Sequence[Violation], evidence: Evidence, log: Sequence[ChaosEvent]) -> str:
    """The first violations in full; the others in one line each."""
    shown = [explain(violation, evidence, log) for violation in violations[:_MOST_SHOWN]]
    rest = [f"{each.invariant}: task {each.task_id}: {each.what}" for each in violations[_MOST_SHOWN:]]
    return "\n\n".join([*shown, *rest])


def _line(version: Version) -> str:
    if version.task is None:
        return f"{version.at:%H:%M:%S.%f} deleted"
    task = version.task
    lease = f" lease of {task.lease.owner} until {task.lease.until:%H:%M:%S.%f}" if task.lease else ""
    wake = f" wake at {task.wake_at:%H:%M:%S.%f}" if task.wake_at else ""
    return f"{version.at:%H:%M:%S.%f} v{task.version} {task.state.value} attempts={len(task.attempts)}{lease}{wake}"


def _call(call: VendorCall) -> str:
    at = datetime.fromtimestamp(call.at, UTC)
    fault = f", fault {call.fault}" if call.fault else ""
    return f"{at:%H:%M:%S.%f} {call.kind} {'accepted' if call.accepted else 'not accepted'}{fault}"


def _near(event: ChaosEvent, task: Task) -> bool:
    """Whether the event happened between the task's creation and its last update, or within `_AROUND` of them."""
    return task.created - _AROUND <= event.at <= task.updated + _AROUND


def _answered(evidence: Evidence, task: Task) -> bool:
    return task.id in {created_task.task_id for created_task in evidence.created}


def _client_calls(evidence: Evidence) -> Iterator[tuple[tuple[str, int], int]]:
    yield from Counter((each.call, each.status) for each in evidence.client_calls).items()


def _codes(tasks: Sequence[Task]) -> Counter[str]:
    return Counter(task.failure.code for task in tasks if task.state is State.FAILED and task.failure)


def _attempt_codes(attempts: Sequence[Attempt]) -> Counter[str]:
    return Counter(
        attempt.failure.code for attempt in attempts if attempt.failure is not None and attempt.ended is not None
    )


def _latest_end(evidence: Evidence, tasks: Sequence[Task]) -> float:
    return round(max((evidence.late_s(task.deadline, task.updated) for task in tasks), default=0.0), 2)


def _longest_expired_lease(evidence: Evidence) -> float:
    found = (
        _expired_lease_s(evidence, before, after)
        for versions in evidence.histories.values()
        for before, after in pairwise(versions)
    )
    return round(max(found, default=0.0), 2)


def _expired_lease_s(evidence: Evidence, before: Version, after: Version) -> float:
    if before.task is None or before.task.lease is None:
        return 0.0
    return evidence.late_s(before.task.lease.until, after.at)


def _kind(what: str) -> str:
    if what.startswith("vendor fault"):
        return "vendor faults"
    return what.partition(", down")[0].partition(":")[0]


def _number(value: float) -> str:
    return f"{value:g}"
