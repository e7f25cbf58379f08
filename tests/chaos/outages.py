"""Outages: the times in which the product could not make progress, and how long it could between them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import TypeAlias

from msgspec import Struct

Span: TypeAlias = tuple[datetime, datetime]
"""Start and end."""


class ProcessOutage(Struct, frozen=True, kw_only=True):
    """A time in which a process, named as in the stack, did not run or was frozen."""

    name: str
    since: datetime
    until: datetime


def outages(process_outages: Iterable[ProcessOutage], *, workers: Sequence[str]) -> Sequence[Span]:
    """The spans in which a database or every worker was unavailable: sorted, without overlaps."""
    spans: dict[str, list[Span]] = {name: [] for name in (*workers, "mongo", "valkey")}
    for each in process_outages:
        if each.name in spans:
            spans[each.name].append((each.since, each.until))
    no_worker = spans[workers[0]] if workers else []
    for name in workers[1:]:
        no_worker = list(_both(no_worker, spans[name]))
    return _merged(chain(spans["mongo"], spans["valkey"], no_worker))


def longest_uninterrupted_s(since: datetime, until: datetime, spans: Sequence[Span]) -> float:
    """
    The longest time between the two moments without an outage, in seconds; at most 0 if `until` is not later.

    Each outage starts recovery anew, so a limit for recovery applies to the time without an outage.
    """
    longest_s, uninterrupted_since = 0.0, since
    for start, end in spans:
        if end > uninterrupted_since and start < until:
            longest_s = max(longest_s, (start - uninterrupted_since).total_seconds())
            uninterrupted_since = end
    return max(longest_s, (until - uninterrupted_since).total_seconds())


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
