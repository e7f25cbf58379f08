"""Circuit breakers of `MemoryGates`: one per vendor account. Times are milliseconds."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.gates import CircuitBreakerView
from repositories.gate_rules import GateRules


@dataclass
class MemoryAccount:
    """The circuit breaker of an account, and when its submit interval ends (`next_at`)."""

    failures: int = 0
    opened: int = 0
    open_until: int | None = None
    probe: str | None = None
    probe_until: int = 0
    next_at: int | None = None

    def again_at(self, task_id: str, *, now: int, rules: GateRules) -> int | None:
        """When the task may ask again; None if the circuit breaker lets it through now."""
        if self.open_until is None:
            return None
        if now < self.open_until:
            return self.open_until
        if self.probe not in {None, task_id} and now < self.probe_until:
            return min(self.probe_until, now + in_ms(rules.probe_check))
        return None

    def submitted(self, task_id: str, *, now: int, rules: GateRules) -> None:
        """Make the task the probe, if the circuit breaker is not closed."""
        if self.open_until is not None:
            self.probe, self.probe_until = task_id, now + in_ms(rules.probe_for)

    def count_failure(self, *, now: int, rules: GateRules) -> None:
        """Count that the vendor was unavailable; opens the circuit breaker after `open_after` failures or a probe's."""
        self.failures += 1
        fails_enough = self.open_until is None and self.failures >= rules.open_after
        if fails_enough or (self.open_until is not None and now >= self.open_until):
            self.opened += 1
            open_for = in_ms(rules.open_for) * 2 ** (self.opened - 1)
            self.open_until = now + min(open_for, in_ms(rules.open_for_most))
            self.probe = None

    def free_probe(self, task_id: str) -> None:
        """Give the probe up, if the task is it."""
        if self.probe == task_id:
            self.probe = None

    def view(self, name: str, *, now: int) -> CircuitBreakerView:
        """As operators see it."""
        if self.open_until is None:
            return CircuitBreakerView(account=name, state="closed", failures=self.failures)
        if self.open_until <= now:
            return CircuitBreakerView(account=name, state="half_open", failures=self.failures)
        return CircuitBreakerView(
            account=name, state="open", failures=self.failures, open_until=moment_of(self.open_until)
        )


def in_ms(duration: timedelta) -> int:
    """The duration in milliseconds."""
    return duration // timedelta(milliseconds=1)


def moment_of(ms: int) -> datetime:
    """The moment of those milliseconds since 1970."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
