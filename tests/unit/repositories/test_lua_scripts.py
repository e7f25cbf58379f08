"""Each Lua file says in its head what it does and what it uses of others."""

import re
from pathlib import Path

import pytest

from repositories.valkey.lua_scripts import lua_script

FOLDER = Path(__file__).parents[3] / "repositories" / "valkey" / "lua"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.lua"))

_USES = re.compile(r"^-- Uses (\w+\.lua): ((?:[^\n]+\n)(?:--   [^\n]+\n)*)", re.MULTILINE)


def code_of(text: str) -> str:
    """The text without comments and strings."""
    return re.sub(r"--[^\n]*|'[^'\n]*'", " ", text)


def defined_in(text: str) -> set[str]:
    """What the file defines for others: local names that are not within a function."""
    names = re.findall(r"^local (?:function )?([\w, ]+)", code_of(text), re.MULTILINE)
    return {name.strip() for each in names for name in each.split(",")}


def used_by(text: str) -> set[str]:
    """The names in the file that may be somebody else's: no fields and no keys of tables."""
    return set(re.findall(r"(?<![.\w])[A-Za-z_]\w*(?!\w)(?!\s*=[^=])", code_of(text)))


def declared_in(text: str) -> dict[str, set[str]]:
    """What the head says, by file."""
    return {file: set(re.findall(r"\w+", names.rstrip(".\n").replace("--", ""))) for file, names in _USES.findall(text)}


@pytest.mark.parametrize("name", FILES)
def test_the_head_says_what_the_file_does(name: str) -> None:
    """The first line names the concept and ends in a sentence."""
    first = (FOLDER / name).read_text().splitlines()[0]

    assert re.match(r"-- [A-Z][a-z ]+: .+", first)


@pytest.mark.parametrize("name", FILES)
def test_the_head_says_what_the_file_uses(name: str) -> None:
    """Every name that another file of the folder defines is listed under that file, and no other name is."""
    path = FOLDER / name
    text = path.read_text()
    others = {other.name: defined_in(other.read_text()) for other in path.parent.glob("*.lua") if other != path}
    libraries = {file: names for file, names in others.items() if file in set(_files_of(path))}
    used = used_by(text) - defined_in(text)

    assert declared_in(text) == {file: names & used for file, names in libraries.items() if names & used}


def test_a_used_file_comes_once_and_before_its_use() -> None:
    """A script is one text: `leave` uses four files, some of which use one another."""
    text = lua_script("gates", "leave")

    defined = [text.index(f"local function {name}(") for name in ("declare", "dequeue", "release", "wakes_of_changed")]
    assert defined == sorted(defined)
    assert text.count("local function declare(") == 1
    assert text.endswith("return wakes_of_changed()\n")


def _files_of(path: Path) -> list[str]:
    """The files that the head names, and those that they use."""
    named = [file for file, _ in _USES.findall(path.read_text())]
    return named + [each for file in named for each in _files_of(path.parent / file)]
