"""The names in a new plugin project, all made of the provider's name."""

import re
from collections.abc import Container
from typing import Final

from msgspec import Struct

_ALLOWED: Final = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*", re.ASCII)
_LONGEST: Final = 40
_PREFIX: Final = "polyrelay"


class BadName(ValueError):
    """No provider can have this name; the text says why."""


class ProjectNames(Struct, frozen=True, kw_only=True):
    """
    What things are called.

    Attributes:
        name: Of the provider, such as "my-vendor".
        project: Of the distribution, such as "polyrelay-my-vendor".
        module: What is imported, such as "polyrelay_my_vendor".
        short: The module without its prefix, such as "my_vendor".
        setting: What the settings start with, such as "MY_VENDOR".
        title: For people, such as "My Vendor".
    """

    name: str
    project: str
    module: str
    short: str
    setting: str
    title: str


def project_names(name: str, *, taken: Container[str]) -> ProjectNames:
    """
    The names of a project for the provider of that name.

    Args:
        name: What callers will send as `provider`.
        taken: Plugins that are installed.

    Raises:
        BadName: It is not allowed, or taken.
    """
    if not _ALLOWED.fullmatch(name) or len(name) > _LONGEST:
        raise BadName(
            f"a provider cannot be called {name!r}: use at most {_LONGEST} lower-case letters and digits, "
            "with single - or _ between them, beginning with a letter"
        )
    short = name.replace("-", "_")
    if short == _PREFIX or short.startswith(f"{_PREFIX}_"):
        raise BadName(f"give the name of the provider alone; the project gets the prefix {_PREFIX}- by itself")
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
