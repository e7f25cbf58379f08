"""
Version of the plugin API, and the range of versions that a plugin supports.

A plugin declares its range in one line beside its hook: `POLYRELAY_API = ">=1.2,<2"`. Without that line, the range is
that of the first version, `>=1.0,<2`: such a plugin works with every server of 1.x, and a server with another major
version refuses it instead of calling it with the wrong arguments.
"""

import re
from typing import Final, TypeAlias

from msgspec import Struct

Version: TypeAlias = tuple[int, int]

API_VERSION: Final[Version] = (1, 2)
"""Major and minor version. A new minor version only adds; a new major version may remove or change something."""

DECLARATION: Final = "POLYRELAY_API"
FIRST_RANGE: Final = ">=1.0,<2"
_RANGE: Final = re.compile(r"\s*>=\s*(\d{1,4})(?:\.(\d{1,4}))?\s*,\s*<\s*(\d{1,4})(?:\.(\d{1,4}))?\s*", re.ASCII)


class IncompatibleApi(Exception):
    """A plugin does not support this server's version of the plugin API, or declares its range in a wrong form."""


class ApiRange(Struct, frozen=True):
    """
    A range of versions of the plugin API.

    Attributes:
        least: The oldest version in the range.
        below: The first version after the range.
    """

    least: Version
    below: Version

    def __contains__(self, version: Version) -> bool:
        return self.least <= version < self.below

    def __str__(self) -> str:
        return f">={written(self.least)},<{written(self.below)}"


def api_range(text: object) -> ApiRange:
    """
    Read a range such as ">=1.0,<2"; a minor version that is left out is 0.

    Raises:
        IncompatibleApi: The text has another form, or the range is empty.
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
    Check that a plugin (a module or object with the hook) supports this version of the plugin API.

    Raises:
        IncompatibleApi: It does not; the message says whether to upgrade the plugin or polyrelay.
    """
    supported = api_range(getattr(plugin, DECLARATION, FIRST_RANGE))
    if version in supported:
        return
    differ = f"it supports version {supported} of the plugin API, and this polyrelay has {written(version)}"
    if version < supported.least:
        raise IncompatibleApi(f"{differ}: upgrade polyrelay, or install an older version of the plugin")
    raise IncompatibleApi(f"{differ}: upgrade the plugin, or install an older polyrelay")


def written(version: Version) -> str:
    """The version as text, such as "1.0"."""
    return f"{version[0]}.{version[1]}"
