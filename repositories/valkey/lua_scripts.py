"""Lua scripts: loads `lua/<folder>/<script>.lua` with the files that its head names as used."""

import re
from functools import cache
from importlib.resources import files
from typing import Final

_USES: Final = re.compile(r"^-- Uses (\w+)\.lua:", re.MULTILINE)


@cache
def lua_script(folder: str, name: str) -> str:
    """The text of a script, with each file that it uses, directly or not, once and before its first use."""
    return "\n".join(_texts(folder, name).values())


def _texts(folder: str, name: str) -> dict[str, str]:
    text = (files("repositories.valkey") / "lua" / folder / f"{name}.lua").read_text("utf-8")
    texts: dict[str, str] = {}
    for used in _USES.findall(text):
        texts |= {each: one for each, one in _texts(folder, used).items() if each not in texts}
    return {**texts, name: text}
