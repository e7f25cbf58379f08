"""Model catalogue of the built-in providers: the TOML files beside this module and the operator's own file."""

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from core.catalogue import Entry, merged, of_families, read_catalogue
from core.errors import ConfigurationError

PROVIDERS: Final = ("openai", "volcengine")
SETTING: Final = "MODEL_CATALOGUE"


def built_in() -> tuple[Entry, ...]:
    """The entries of all TOML files beside this module."""
    with resources.as_file(resources.files(__name__)) as folder:
        return tuple(entry for path in sorted(folder.glob("*.toml")) for entry in read_catalogue(path))


def entries_of(own_file: Path | None, provider: str, families: Iterable[str]) -> Sequence[Entry]:
    """
    The entries that a provider serves: the built-in ones, replaced or extended by the operator's file.

    Args:
        own_file: The file that `MODEL_CATALOGUE` names, or None.
        provider: "openai" or "volcengine".
        families: All of the provider's families.

    Raises:
        ConfigurationError: The file cannot be used, or an entry's provider or family is unknown.
    """
    own = read_catalogue(own_file) if own_file is not None else ()
    known = sorted(families)
    for entry in own:
        _check(entry, provider, known)
    return of_families(merged(built_in(), own), provider, known)


def _check(entry: Entry, provider: str, families: Sequence[str]) -> None:
    if entry.provider not in PROVIDERS:
        raise ConfigurationError(
            f"{SETTING}: the provider {entry.provider!r} of the model {entry.name!r} is not known; "
            f"allowed are {', '.join(PROVIDERS)}; families of {provider}: {', '.join(families)}"
        )
    if entry.provider == provider and entry.family not in families:
        raise ConfigurationError(
            f"{SETTING}: the family {entry.family!r} of the model {entry.name!r} is not known; "
            f"families of {provider}: {', '.join(families)}"
        )
