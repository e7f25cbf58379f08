"""When the product could work at all: lateness counts only while its databases and a worker are there."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import TypeAlias

from msgspec import Struct

Span: TypeAlias = tuple[datetime, datetime]
"""From and until."""


class Away(Struct, frozen=True, kw_only=True):
    """A process that was not there, by its name in the stack."""

    name: str
    since: datetime
    until: datetime


def outages(unavailable: Iterable[Away], *, workers: Sequence[str]) -> Sequence[Span]:
    """The spans in which a database, or every worker, was away; in order, and apart from each other."""
    spans: dict[str, list[Span]] = {name: [] for name in (*workers, "mongo", "valkey")}
    for each in unavailable:
        if each.name in spans:
            spans[each.name].append((each.since, each.until))
    nobody = spans[workers[0]] if workers else []
    for name in workers[1:]:
        nobody = list(_both(nobody, spans[name]))
    return _merged(chain(spans["mongo"], spans["valkey"], nobody))


def longest_calm_s(since: datetime, until: datetime, spans: Sequence[Span]) -> float:
    """
    The longest stretch between the two moments that no outage broke, in seconds; 0 where `until` is not later.

    Each outage sets recovery back to its start, so what must be done within some time must be done in such a stretch.
    """
    longest_s, calm_since = 0.0, since
    for start, end in spans:
        if end > calm_since and start < until:
            longest_s = max(longest_s, (start - calm_since).total_seconds())
            calm_since = end
    return max(longest_s, (until - calm_since).total_seconds())


def _both(some: Sequence[Span], others: Sequence[Span]) -> Iterable[Span]:
    for start, end in some:
        for other_start, other_end in others:
            if max(start, other_start) < min(end, other_end):
                yield max(start, other_start), min(end, other_end)


def _merged(spans: Iterable[Span]) -> Sequence[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
