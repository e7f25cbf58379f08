"""Prometheus metrics of an API process. Each process counts for itself."""

from collections.abc import Sequence
from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from core.errors import ComeBackLater
from core.gates import CircuitBreakerView, GateView
from core.metric_labels import ModelLabels
from core.tasks import Task

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
CIRCUIT_BREAKER_STATES: Final = ("closed", "half_open", "open")
_BUCKETS_S: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters of one application."""

    def __init__(self) -> None:
        # Without the second series of each counter, the time at which the process created it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "polyrelay_http_requests",
            "Requests responded to, by route and status.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._durations = Histogram(
            "polyrelay_http_request_duration_seconds",
            "From the request's head to the end of its response.",
            ["method", "route"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._created = Counter(
            "polyrelay_tasks_created", "Created tasks.", ["provider", "model", "type"], registry=self._registry
        )
        self._refused = Counter(
            "polyrelay_requests_refused",
            "Requests refused because of a limit, by whose limit it is.",
            ["scope", "code"],
            registry=self._registry,
        )
        self._label = ModelLabels()
        # Finding a counter by its labels costs more than counting.
        self._of_route = cache(self._find)
        self._created_of = cache(self._created.labels)
        self._refused_callers = Counter(
            "polyrelay_callers_refused",
            "Requests whose caller is not authenticated or not allowed to do that, by error code.",
            ["code"],
            registry=self._registry,
        )

    def request(self, *, method: str, route: str, status: int, duration_s: float) -> None:
        """Count a handled request. `route` is the template, never the path: the number of paths is unlimited."""
        count, durations = self._of_route(method, route, status)
        count.inc()
        durations.observe(duration_s)

    def created(self, task: Task) -> None:
        """Count a created task."""
        self._created_of(
            task.provider, task.model if task.relay is None else self._label(task.model), task.type.value
        ).inc()

    def _find(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(method, route, str(status)), self._durations.labels(method, route)

    def refused(self, error: ComeBackLater) -> None:
        """Count a request that was refused because of a limit."""
        self._refused.labels(error.scope, error.code).inc()

    def refused_caller(self, code: str) -> None:
        """Count a request whose caller is not authenticated, or not allowed to do that."""
        self._refused_callers.labels(code).inc()

    def text(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        return generate_latest(self._registry)


def gates_text(gates: Sequence[GateView], circuit_breakers: Sequence[CircuitBreakerView]) -> bytes:
    """
    Gates and circuit breakers as they are now, in Prometheus' text format.

    Gates of users and keys are left out: their number is unlimited.
    """
    registry = CollectorRegistry()
    held = Gauge("polyrelay_gate_held", "Open submissions.", ["gate"], registry=registry)
    queued = Gauge("polyrelay_gate_line", "Tasks in the gate's wait queue.", ["gate"], registry=registry)
    limit = Gauge("polyrelay_gate_limit", "The most submissions open at once.", ["gate"], registry=registry)
    for gate in gates:
        if not gate.name.startswith(("user:", "key:")):
            held.labels(gate.name).set(gate.held)
            queued.labels(gate.name).set(gate.queued)
            if gate.limit is not None:
                limit.labels(gate.name).set(gate.limit)
    states = Gauge(
        "polyrelay_circuit_state",
        "1 for the current state of the circuit breaker.",
        ["account", "state"],
        registry=registry,
    )
    for circuit_breaker in circuit_breakers:
        for state in CIRCUIT_BREAKER_STATES:
            states.labels(circuit_breaker.account, state).set(state == circuit_breaker.state)
    return generate_latest(registry)
