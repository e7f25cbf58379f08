"""Prometheus metrics of a worker process."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from core.metric_labels import ModelLabels
from core.task_states import State
from core.tasks import Task

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_BUCKETS_S: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


class WorkerMetrics:
    """The counters of one worker."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._running = Gauge("polyrelay_steps_running", "Running steps.", registry=self._registry)
        self._submits = Counter(
            "polyrelay_submits",
            "Attempts that were stored before their submit.",
            ["provider", "model"],
            registry=self._registry,
        )
        self._ended = Counter(
            "polyrelay_tasks_ended",
            "Tasks that ended, by status and failure code.",
            ["provider", "model", "status", "code"],
            registry=self._registry,
        )
        self._durations = Histogram(
            "polyrelay_task_duration_seconds",
            "From creation to completion.",
            ["provider", "model"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._label = ModelLabels()

    def changed(self, task: Task) -> None:
        """Count a version of a task that this worker saved."""
        asked = task.attempt if task.attempts else task
        served = (asked.provider, asked.model if task.relay is None else self._label(asked.model))
        if task.state is State.SUBMITTING:
            self._submits.labels(*served).inc()
        elif task.state.final:
            self._ended.labels(*served, task.status.value, task.failure.code if task.failure else "").inc()
        if task.state is State.COMPLETED:
            self._durations.labels(*served).observe((task.updated - task.created).total_seconds())

    def text(self, *, running: int) -> bytes:
        """Everything, in Prometheus' text format."""
        self._running.set(running)
        return generate_latest(self._registry)
