"""Priorities and their weights, 6 : 3 : 1: how slots and wait queues are shared, so that no priority starves."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final


class Priority(StrEnum):
    """How soon a task is served, relative to others: by weights, so that none starves."""

    CRITICAL = "critical"
    DEFAULT = "default"
    LOW = "low"


WEIGHTS: Final[Mapping[Priority, int]] = {Priority.CRITICAL: 6, Priority.DEFAULT: 3, Priority.LOW: 1}
"""Of ten tasks that are served while all priorities have waiting tasks: how many are of each. The one source."""


def turns(served: Collection[Priority] = tuple(Priority)) -> tuple[Priority, ...]:
    """
    The priorities of one round of turns, spread evenly (smooth weighted round robin).

    Each priority has as many turns as its weight. A turn of a priority without waiting tasks goes to the next one.
    """
    weights = {priority: WEIGHTS[priority] for priority in Priority if priority in served}
    total = sum(weights.values())
    credit = dict.fromkeys(weights, 0)
    order = []
    for _ in range(total):
        for priority, weight in weights.items():
            credit[priority] += weight
        next_one = max(credit, key=lambda priority: credit[priority])
        credit[next_one] -= total
        order.append(next_one)
    return tuple(order)


def shares(total: int, served: Collection[Priority] = tuple(Priority)) -> Mapping[Priority, int]:
    """`total` slots split by weight, at least one for each served priority."""
    weights = {priority: WEIGHTS[priority] for priority in Priority if priority in served}
    whole = sum(weights.values())
    split = {priority: max(1, total * weight // whole) for priority, weight in weights.items()}
    first = next(iter(split))
    return {**split, first: max(1, total - sum(split.values()) + split[first])}
