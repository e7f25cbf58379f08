"""The modules of the tutorial for authors of providers, as plugins in this process. Its commands run in acceptance."""

import re
import sys
import types
from collections.abc import Callable
from importlib.metadata import EntryPoint

import pytest

from core.registry import Registry, load_registry
from polyrelay import Done, Env, hooks
from polyrelay.api_version import FIRST_RANGE
from polyrelay.testing import ProviderContract, static

Pages = Callable[[str], str]

PAGE = "docs/tutorials/write-a-provider.md"
MODULE = "polyrelay_mirror"
KEY = {"MIRROR_API_KEY": "k", "MIRROR_URL": "http://127.0.0.1:9"}


@pytest.fixture
def listings(page: Pages) -> Callable[[str], list[str]]:
    """All blocks of a file on the page, in order."""
    return lambda name: re.findall(rf'^```python title="{name}"\n(.*?)^```$', page(PAGE), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(4))
async def test_each_module_of_the_tutorial_keeps_the_contract(
    number: int, listings: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is loaded, has its provider and one model, and the static part of the kit finds nothing."""
    texts = listings(f"{MODULE}.py")
    assert len(texts) == 4

    registry = loaded(texts[number], monkeypatch)

    assert [report.error for report in registry.reports] == [None]
    assert static.check(registry.providers["mirror"]) == []
    assert registry.route("mirror", "mirror-1").unavailable is None
    await registry.aclose()


async def test_the_first_ten_lines_return_a_text(
    listings: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output is the prompt, reversed."""
    route = loaded(listings(f"{MODULE}.py")[0], monkeypatch).route("mirror", "mirror-1")

    outcome = await route.service.submit(types.SimpleNamespace(params=route.model.params(prompt="hello")))  # type: ignore[arg-type]

    assert isinstance(outcome, Done)
    assert getattr(outcome.outputs[0], "text", None) == "olleh"


def test_the_test_of_the_tutorial_is_the_kit(
    listings: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its class is accepted by the kit and has a talk for the one model."""
    loaded(listings(f"{MODULE}.py")[-1], monkeypatch)
    (text,) = listings("test_mirror.py")

    suite = executed(text, "test_mirror").TestProvider

    assert issubclass(suite, ProviderContract)
    assert [talk.model for talk in suite.talks] == ["mirror-1"]
    assert suite.skips == {}


@pytest.mark.parametrize("path", [PAGE, "docs/how-to/publish-a-provider.md"])
def test_the_pages_declare_the_range_that_is_meant(path: str, page: Pages) -> None:
    """The range of the plugin API in the pages is the one that a plugin of today writes."""
    declared = set(re.findall(r'">=[\d.]+,<[\d.]+"', page(path)))

    assert declared == {f'"{FIRST_RANGE}"'}


def loaded(text: str, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry of a server that has this module installed, with its key."""
    monkeypatch.setitem(sys.modules, MODULE, executed(text, MODULE))
    return load_registry(Env(KEY), [EntryPoint(name="mirror", value=MODULE, group=hooks.ENTRY_POINTS)])


def executed(text: str, name: str) -> types.ModuleType:
    """A module with that text."""
    module = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)  # noqa: S102 - our own page
    return module
