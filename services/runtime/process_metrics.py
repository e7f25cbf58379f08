"""Metrics of every process, API and worker: switches, plugins, the event loop, memory."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from core.control import Stall
from core.registry import Registry
from core.switches import Mode

_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = 4096


def process_text(registry: Registry, stalls: Iterable[Stall], resident: int | None) -> bytes:
    """The metrics in Prometheus' text format; `resident` is the memory of the process in bytes, or None."""
    collectors = CollectorRegistry()
    modes = Gauge(
        "polyrelay_provider_mode", "1 for the current mode of the provider.", ["provider", "mode"], registry=collectors
    )
    for name in registry.providers:
        switch = registry.switches.get(name)
        for mode in Mode:
            modes.labels(name, mode.value).set(mode is (switch.mode if switch else Mode.ENABLED))
    failed = Gauge(
        "polyrelay_plugin_failed",
        "1 for a plugin whose installed version could not be loaded.",
        ["plugin"],
        registry=collectors,
    )
    for report in registry.reports:
        failed.labels(report.name).set(report.error is not None)
    if resident is not None:
        Gauge("polyrelay_resident_bytes", "Memory of the process.", registry=collectors).set(resident)
    collectors.register(_Stalls(stalls))
    return generate_latest(collectors)


def resident_bytes() -> int | None:
    """The resident memory of this process, in bytes; None if the system does not report it."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None


class _Stalls(Collector):
    """The stalls that the watchdog has counted."""

    def __init__(self, stalls: Iterable[Stall]) -> None:
        self._stalls = tuple(stalls)

    def collect(self) -> Iterable[CounterMetricFamily]:
        """The one metric."""
        family = CounterMetricFamily(
            "polyrelay_event_loop_blocked", "Times that code held up the event loop.", labels=["plugin"]
        )
        for stall in self._stalls:
            family.add_metric([stall.plugin], stall.count)
        yield family
