"""Tuning of the cyclic garbage collector."""

import gc
from collections.abc import Iterator

import pytest

from core.gc_tuning import THRESHOLD, tune_garbage_collector


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Put the collector of the test process back as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_a_collection_comes_after_20_000_new_objects() -> None:
    """The threshold of the youngest generation is 20,000 in place of Python's default of 700 or 2,000."""
    gc.set_threshold(700, 10, 10)

    tune_garbage_collector()

    assert gc.get_threshold()[0] == THRESHOLD == 20_000


def test_the_objects_of_the_start_are_exempt() -> None:
    """Objects that exist at the call are not traversed by later collections; cycles among them were collected."""
    gc.unfreeze()

    tune_garbage_collector()

    assert gc.get_freeze_count() > 10_000
