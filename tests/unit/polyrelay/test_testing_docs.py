"""The conformance page compared with the kit, and the README's provider tested with it."""

import re
import sys
import types
from pathlib import Path

import pytest
from msgspec import structs

from polyrelay.testing import ProviderContract, Reply, Talk, static
from polyrelay.testing.checks.all import CHECKS, Check, PluginCheck, ProviderCheck, rule_of

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/reference/conformance.md").read_text("utf-8")


def code_of(text: str) -> str:
    """The page's first block of Python."""
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return blocks[0]


def sketches() -> types.ModuleType:
    """The README's provider as a module."""
    module = types.ModuleType("polyrelay_sketches")
    exec(compile(code_of((ROOT / "README.md").read_text("utf-8")), "README.md", "exec"), module.__dict__)  # noqa: S102
    return module


def class_of_the_page() -> type[ProviderContract]:
    """The page's test class for the README's provider."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "polyrelay_sketches", sketches())
        names: dict[str, type[ProviderContract]] = {}
        exec(compile(code_of(PAGE), "conformance.md", "exec"), names)  # noqa: S102 - our own page
    return names["TestSketches"]


class TestReadme(class_of_the_page()):  # type: ignore[misc] # mypy wants a class with a name
    """The README's provider passes with the page's test class."""


def looks_at(check: Check) -> str:
    """The subject of a check, as on the page."""
    match check:
        case ProviderCheck():
            return "provider"
        case PluginCheck():
            return "plugin"
        case _:
            return ("each model" if check.each_model else "talk") + (f", with `{check.needs}`" if check.needs else "")


def test_the_page_lists_each_check() -> None:
    """The page lists the name, subject and rule of each check, in the order of the code, and no other check."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", PAGE.split("## The checks")[1], re.MULTILINE)

    assert rows == [(check.run.__name__, looks_at(check), rule_of(check)) for check in CHECKS]


def test_the_page_names_each_field() -> None:
    """The page names the attributes of a test class, and the fields of a talk, a reply and a finding."""
    names = list(vars(ProviderContract)["__annotations__"])
    names += [field.name for kind in (Talk, Reply, static.Finding) for field in structs.fields(kind)]

    assert [name for name in names if f"`{name}`" not in PAGE] == []
