"""Names of result files: safe as a path on disk, as a key of an object store and in a URL."""

import re
from typing import Final

_PART: Final = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.-]{1,200}"
_NAME: Final = re.compile(rf"{_PART}(?:/{_PART}){{0,9}}")


def usable(name: str) -> bool:
    """Whether a file may have the name: up to ten parts of letters, digits, `_`, `-` and `.`, none `.` or `..`."""
    return _NAME.fullmatch(name) is not None


def checked(name: str) -> str:
    """
    The name, if it is usable.

    Raises:
        ValueError: It is not usable: a defect of the caller.
    """
    if not usable(name):
        raise ValueError(f"not a name of a result file: {name[:200]!r}")
    return name
