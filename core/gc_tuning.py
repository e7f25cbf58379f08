"""How often Python looks for cycles of objects that nobody needs any more."""

import gc
from typing import Final

THRESHOLD: Final = 20_000
"""So many objects more than before are made until the next look."""


def spare_garbage_collection() -> None:
    """
    Look less often for cycles, and never again among what was made for the start.

    Python looks after every 700 new objects. So many belong to the requests or steps of a few milliseconds, which leave
    none; the looks took a twentieth of a busy worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(THRESHOLD)
