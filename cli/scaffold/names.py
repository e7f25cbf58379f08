"""Names in a new plugin project, derived from the name of the provider."""

import re
from collections.abc import Container
from typing import Final

from msgspec import Struct

_ALLOWED: Final = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*", re.ASCII)
_LONGEST: Final = 40
_PREFIX: Final = "polyrelay"


class BadName(ValueError):
    """A provider cannot have this name; the text says why."""


class ProjectNames(Struct, frozen=True, kw_only=True):
    """
    The names in a plugin project.

    Attributes:
        name: The provider, such as "my-vendor".
        project: The distribution, such as "polyrelay-my-vendor".
        module: The Python module, such as "polyrelay_my_vendor".
        short: The module without its prefix, such as "my_vendor".
        setting: Prefix of the settings, such as "MY_VENDOR".
        title: Name for people, such as "My Vendor".
    """

    name: str
    project: str
    module: str
    short: str
    setting: str
    title: str


def project_names(name: str, *, taken: Container[str]) -> ProjectNames:
    """
    The names of a project for the provider `name`.

    Args:
        name: Name that callers will send as `provider`.
        taken: Names of the installed plugins.

    Raises:
        BadName: The name is not allowed, or a plugin with this name is installed.
    """
    if not _ALLOWED.fullmatch(name) or len(name) > _LONGEST:
        raise BadName(
            f"a provider cannot be called {name!r}: use at most {_LONGEST} lower-case letters and digits, "
            "with single - or _ between them, beginning with a letter"
        )
    short = name.replace("-", "_")
    if short == _PREFIX or short.startswith(f"{_PREFIX}_"):
        raise BadName(f"give the name of the provider alone; the prefix {_PREFIX}- of the project is added")
    if name in taken:
        raise BadName(f"a plugin called {name} is installed here already; choose another name")
    return ProjectNames(
        name=name,
        project=f"{_PREFIX}-{short.replace('_', '-')}",
        module=f"{_PREFIX}_{short}",
        short=short,
        setting=short.upper(),
        title=short.replace("_", " ").title(),
    )
