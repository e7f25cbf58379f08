"""Durations and sizes with units, and catalogue files."""

from pathlib import Path

import pytest

from core.catalogue import Entry, merged, of_families, read_catalogue
from core.errors import ConfigurationError
from core.units import seconds, size_bytes


@pytest.mark.parametrize(
    ("text", "value"), [("300", 300), ("30s", 30), ("5m", 300), ("1.5h", 5400), ("250ms", 0.25), (" 1 D ", 86400)]
)
def test_durations_are_read(text: str, value: float) -> None:
    """A duration without a unit is in seconds."""
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(("text", "value"), [("1048576", 2**20), ("20MiB", 20 * 2**20), ("1.5kb", 1500), ("7 b", 7)])
def test_sizes_are_read(text: str, value: int) -> None:
    """A size without a unit is in bytes; KiB and kB differ."""
    assert size_bytes(text) == value


@pytest.mark.parametrize("text", ["", "s", "-1s", "1e3", "nan", "inf", "5 weeks", "1s2s", "١x"])
def test_other_texts_are_refused(text: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(ValueError, match="a duration such as"):
        seconds(text)
    with pytest.raises(ValueError, match="a size such as"):
        size_bytes(text)


def test_a_catalogue_file_is_read(tmp_path: Path) -> None:
    """Each `[[model]]` is an entry; without `upstream` the name is sent to the vendor."""
    path = tmp_path / "models.toml"
    path.write_text(
        '[[model]]\nprovider="p"\nname="a"\nfamily="f"\ndeprecated=2026-10-23\n'
        '[[model]]\nprovider="p"\nname="b"\nfamily="f"\nupstream="ep-1"\ntimeout_s=5\n',
        "utf-8",
    )
    first, second = read_catalogue(path)
    assert (first.upstream_name, second.upstream_name, second.timeout_s) == ("a", "ep-1", 5.0)
    assert first.deprecated is not None
    assert first.deprecated.isoformat() == "2026-10-23"


@pytest.mark.parametrize(
    "text",
    [
        "[[model]",
        '[[model]]\nname="a"',
        '[[model]]\nprovider="p"\nname="a"\nfamily="f"\ntimeout=5',
        '[[model]]\nprovider="p"\nname=7\nfamily="f"',
        "other = 1",
        "\udcff",
    ],
)
def test_a_wrong_catalogue_names_its_file(tmp_path: Path, text: str) -> None:
    """The error names the path and the reason."""
    path = tmp_path / "models.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match=r"models\.toml cannot be used"):
        read_catalogue(path)
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be used"):
        read_catalogue(tmp_path / "none.toml")


def test_the_operators_entries_replace_the_built_in_ones() -> None:
    """An entry with the same provider and name is replaced; others are added; only the given families are served."""

    def entry(provider: str, name: str, family: str) -> Entry:
        return Entry(provider=provider, name=name, family=family)

    built_in = [entry("p", "a", "f"), entry("q", "a", "f")]
    own = [entry("p", "a", "g"), entry("p", "b", "f")]
    together = merged(built_in, own)
    assert together == (own[0], built_in[1], own[1])
    assert of_families(together, "p", ["f"]) == [own[1]]
