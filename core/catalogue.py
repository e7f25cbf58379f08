"""
Model catalogue: model names in TOML files, those of the built-in providers and the operator's own.

A catalogue file is TOML:

    [[model]]
    provider = "volcengine"
    name = "doubao-seedream-4-5-251128"   # the value of `model` in requests
    family = "seedream-4-5"               # its params and requests; the families of a provider are defined in code
    upstream = "ep-20260101-abcde"        # the vendor's name, where it differs
    timeout_s = 600                       # replaces the family's default
    max_open = 2                          # submissions that the vendor accepts at the same time, where that is known
    deprecated = 2026-10-23               # the day on which the vendor shuts it down
    description = "…"
"""

import tomllib
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from core.errors import ConfigurationError


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    One model name.

    Attributes:
        provider: Name of the provider that serves the model.
        name: The value of `model` in requests.
        family: Name of one of the provider's families.
        upstream: The vendor's name of the model, or None where it is the same as `name`.
        timeout_s: Longest time from submit to outcome, in seconds, or None for the family's default.
        max_open: Submissions that the vendor accepts at the same time, or None where that is not known.
        deprecated: The day on which the vendor shut the model down or will shut it down.
        description: One line that helps people to choose a model.
    """

    provider: str
    name: str
    family: str
    upstream: str | None = None
    timeout_s: float | None = None
    max_open: Annotated[int, Meta(ge=1)] | None = None
    deprecated: date | None = None
    description: str = ""

    @property
    def upstream_name(self) -> str:
        """The model name in requests to the vendor."""
        return self.upstream or self.name


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: list[Entry]


def read_catalogue(path: Path) -> tuple[Entry, ...]:
    """
    The entries of one catalogue file.

    Raises:
        ConfigurationError: The file cannot be read, is not TOML, or has an unknown or malformed field.
    """
    try:
        return tuple(msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File).model)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigurationError(f"the model catalogue {path} cannot be used: {error}") from error


def merged(built_in: Iterable[Entry], own: Iterable[Entry]) -> tuple[Entry, ...]:
    """All entries; one of the operator's replaces the built-in entry of the same provider and name."""
    return tuple({(entry.provider, entry.name): entry for entry in (*built_in, *own)}.values())


def of_families(entries: Iterable[Entry], provider: str, families: Iterable[str]) -> Sequence[Entry]:
    """The entries of a provider that belong to the given families."""
    wanted = frozenset(families)
    return [entry for entry in entries if entry.provider == provider and entry.family in wanted]
