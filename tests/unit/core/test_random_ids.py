"""Random bytes for ids."""

import os

import pytest

from core.random_ids import random_hex


@pytest.mark.parametrize("count", [1, 8, 16])
def test_random_hex_has_the_requested_length(count: int) -> None:
    """It is hex, and no two values are equal, also across several reads of a block."""
    values = [random_hex(count) for _ in range(1000)]

    assert {len(text) for text in values} == {2 * count}
    assert all(int(text, 16) >= 0 for text in values)
    assert count == 1 or len(set(values)) == 1000


def test_a_forked_process_has_its_own_random_bytes() -> None:
    """API processes are forks; bytes that were read before the fork would be used twice."""
    random_hex(16)
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.write(write_end, random_hex(16).encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(read_end, 100).decode() not in {random_hex(16) for _ in range(300)}
