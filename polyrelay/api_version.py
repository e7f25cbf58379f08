"""
The version of the plugin API, and the range of it that a plugin supports.

A plugin says so in one line beside its hook: `POLYRELAY_API = ">=1.2,<2"`. Without that line it counts as written for
the first version, `>=1.0,<2`: such a plugin goes on working through all of 1.x, and is refused, instead of being called
the wrong way, by a server whose major version is another.
"""

import re
from typing import Final, TypeAlias

from msgspec import Struct

Version: TypeAlias = tuple[int, int]

API_VERSION: Final[Version] = (1, 2)
"""Major and minor: a new minor adds what old plugins need not know; a new major may take something away."""

DECLARATION: Final = "POLYRELAY_API"
FIRST_RANGE: Final = ">=1.0,<2"
_RANGE: Final = re.compile(r"\s*>=\s*(\d{1,4})(?:\.(\d{1,4}))?\s*,\s*<\s*(\d{1,4})(?:\.(\d{1,4}))?\s*", re.ASCII)


class IncompatibleApi(Exception):
    """A plugin does not support this server's plugin API, or does not say clearly what it supports."""


class ApiRange(Struct, frozen=True):
    """
    Versions of the plugin API.

    Attributes:
        least: The oldest that is supported.
        below: The first that is not supported any more.
    """

    least: Version
    below: Version

    def __contains__(self, version: Version) -> bool:
        return self.least <= version < self.below

    def __str__(self) -> str:
        return f">={written(self.least)},<{written(self.below)}"


def api_range(text: object) -> ApiRange:
    """
    The range that a text such as ">=1.0,<2" declares; a minor version that is left out is 0.

    Raises:
        IncompatibleApi: It is no such text, or an empty range.
    """
    match = _RANGE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise IncompatibleApi(f"{DECLARATION} is {text!r}; write a range with both ends, such as {FIRST_RANGE!r}")
    major, minor, major_below, minor_below = (int(part or 0) for part in match.groups())
    found = ApiRange((major, minor), (major_below, minor_below))
    if found.least >= found.below:
        raise IncompatibleApi(f"{DECLARATION} is {text!r}, which no version fits; write for instance {FIRST_RANGE!r}")
    return found


def check_api(plugin: object, *, version: Version = API_VERSION) -> None:
    """
    Check that a plugin, a module or an object with the hook, supports this version of the API.

    Raises:
        IncompatibleApi: It does not; the text says which side to upgrade.
    """
    supported = api_range(getattr(plugin, DECLARATION, FIRST_RANGE))
    if version in supported:
        return
    differ = f"it supports version {supported} of the plugin API, and this polyrelay has {written(version)}"
    if version < supported.least:
        raise IncompatibleApi(f"{differ}: upgrade polyrelay, or install an older version of the plugin")
    raise IncompatibleApi(f"{differ}: upgrade the plugin, or install an older polyrelay")


def written(version: Version) -> str:
    """Such as "1.0"."""
    return f"{version[0]}.{version[1]}"
