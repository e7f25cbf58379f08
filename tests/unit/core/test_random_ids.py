"""Random bits for ids."""

import os

import pytest

from core.random_ids import random_hex


@pytest.mark.parametrize("count", [1, 8, 16])
def test_as_many_bytes_as_are_asked_for(count: int) -> None:
    """In hex, with no two alike, also beyond what is drawn at once."""
    drawn = [random_hex(count) for _ in range(1000)]

    assert {len(text) for text in drawn} == {2 * count}
    assert all(int(text, 16) >= 0 for text in drawn)
    assert count == 1 or len(set(drawn)) == 1000


def test_a_forked_process_draws_its_own() -> None:
    """The API's processes are forks: what was drawn before would come twice."""
    random_hex(16)
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.write(write_end, random_hex(16).encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(read_end, 100).decode() not in {random_hex(16) for _ in range(300)}
