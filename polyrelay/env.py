"""Settings of the process as a plugin reads them when it builds its providers."""

from collections.abc import Mapping

from polyrelay.secrets import Secret


class Env:
    """
    The process's settings as texts by name. The environment takes precedence over the `.env` file.

    Spaces and line ends around a value are removed; an empty value counts as unset.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name: value.strip() for name, value in values.items() if value.strip()}

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of `name`, or the default."""
        return self._values.get(name, default)

    def text(self, name: str, default: str) -> str:
        """The value of `name`, or the default, which is never None."""
        return self._values.get(name, default)

    def secret(self, name: str) -> Secret | None:
        """The value of `name` as a `Secret`, which does not print its text, or None."""
        value = self._values.get(name)
        return Secret(value) if value is not None else None

    def missing(self, *names: str) -> str | None:
        """A sentence that lists those of `names` that are not set, or None where all are set."""
        unset = [name for name in names if name not in self._values]
        if not unset:
            return None
        return f"{' and '.join(unset)} {'is' if len(unset) == 1 else 'are'} not set"

    def __repr__(self) -> str:
        return f"Env({len(self._values)} names)"
