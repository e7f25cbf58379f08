"""The range of the plugin API that a plugin declares, and the plugins that are refused."""

import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from core.registry import load_registry
from polyrelay import API_VERSION, Env, hooks
from polyrelay.api_version import FIRST_RANGE, ApiRange, IncompatibleApi, api_range, check_api

PLUGINS = Path(__file__).parents[2] / "data" / "plugins"


def plugin(declared: object) -> types.SimpleNamespace:
    """A plugin with that declaration."""
    return types.SimpleNamespace(POLYRELAY_API=declared)


@pytest.mark.parametrize(
    ("text", "least", "below"),
    [
        (">=1.0,<2", (1, 0), (2, 0)),
        (">=1,<2", (1, 0), (2, 0)),
        (" >= 1.3 , < 3.1 ", (1, 3), (3, 1)),
    ],
)
def test_a_range_has_both_ends(text: str, least: tuple[int, int], below: tuple[int, int]) -> None:
    """A range has the oldest version that is supported and the first that is not; a missing minor version is 0."""
    assert api_range(text) == ApiRange(least, below)


@pytest.mark.parametrize(
    "text", ["1.0", ">=1", "<2", ">=1,<2,<3", ">=x,<2", "", 1.0, (1, 0), None, ">=2,<2", ">=1.²,<2"]
)
def test_what_is_no_range_is_refused_with_one(text: object) -> None:
    """An invalid or empty range is refused with its text and an example."""
    with pytest.raises(IncompatibleApi, match=f"POLYRELAY_API is .*{FIRST_RANGE}"):
        check_api(plugin(text))


def test_minor_versions_are_numbers() -> None:
    """1.10 comes after 1.9."""
    check_api(plugin(">=1.9,<2"), version=(1, 10))


def test_a_plugin_for_a_newer_api_asks_for_a_newer_server() -> None:
    """If a plugin needs a newer API, the error says to upgrade polyrelay."""
    with pytest.raises(IncompatibleApi, match=r">=1\.3,<2\.0 .* has 1\.2: upgrade polyrelay, or"):
        check_api(plugin(">=1.3,<2"), version=(1, 2))


def test_a_plugin_for_an_older_api_is_to_be_upgraded() -> None:
    """If a plugin does not support this major version, the error says to upgrade the plugin."""
    with pytest.raises(IncompatibleApi, match=r">=1\.0,<2\.0 .* has 2\.0: upgrade the plugin, or"):
        check_api(plugin(">=1,<2"), version=(2, 0))


def test_a_plugin_that_declares_nothing_is_of_the_first_version() -> None:
    """A plugin without a declaration works with all of 1.x, and is refused by 2.0."""
    check_api(types.SimpleNamespace(), version=(1, 0))
    check_api(types.SimpleNamespace(), version=(1, 99))
    with pytest.raises(IncompatibleApi, match="upgrade the plugin"):
        check_api(types.SimpleNamespace(), version=(2, 0))


def test_a_mismatch_is_reported_under_the_name_of_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin for another API is left out, without a call of its hook, and the report has the reason."""
    monkeypatch.syspath_prepend(str(PLUGINS))
    found = [
        EntryPoint(name="ahead", value="plugin_of_tomorrow", group=hooks.ENTRY_POINTS),
        EntryPoint(name="good", value="plugin_good", group=hooks.ENTRY_POINTS),
    ]

    registry = load_registry(Env({}), found)

    assert list(registry.providers) == ["good"]
    report = registry.reports[0]
    assert report.name == "ahead"
    version = f"{API_VERSION[0]}.{API_VERSION[1]}"
    assert report.error == (
        "IncompatibleApi: it supports version >=99.0,<100.0 of the plugin API, and this polyrelay has "
        f"{version}: upgrade polyrelay, or install an older version of the plugin"
    )
