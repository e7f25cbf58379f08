"""The glossary: each term once, in order, with a Chinese word and with names that the code has."""

import importlib
import re
from collections.abc import Callable
from typing import Any

import pytest

Tables = Callable[[str], list[list[str]]]
Pages = Callable[[str], str]

PAGE = "docs/reference/glossary.md"


@pytest.fixture
def terms(rows: Tables) -> list[list[str]]:
    """Term, Chinese word, meaning and code names of each row."""
    return rows(PAGE)


def test_each_term_stands_once_in_alphabetical_order(terms: list[list[str]]) -> None:
    """No term and no Chinese word comes twice, and the terms are sorted without regard to case."""
    names, chinese = [row[0] for row in terms], [row[1] for row in terms]

    assert names == sorted(names, key=str.lower)
    assert len({name.lower() for name in names}) == len(names)
    assert len(set(chinese)) == len(chinese)


def test_each_term_has_a_chinese_word_and_a_meaning(terms: list[list[str]]) -> None:
    """The second column has a Chinese character; the third is one sentence or more."""
    for name, chinese, meaning, _ in terms:
        assert re.search(r"[\u4e00-\u9fff]", chinese), name
        assert meaning.endswith("."), name


def test_each_code_name_exists(terms: list[list[str]]) -> None:
    """The last column names modules, or names within modules, and nothing else."""
    for name, _, _, code in terms:
        dotted = re.findall(r"`([^`]+)`", code)
        assert dotted, name
        assert code == ", ".join(f"`{each}`" for each in dotted), name
        for each in dotted:
            assert found(each) is not None, f"{name}: there is no {each}"


def test_the_chinese_readme_uses_the_words_of_the_glossary(terms: list[list[str]], page: Pages) -> None:
    """Each of these terms has one Chinese word there, and the words that were given up are gone."""
    words, text = {row[0]: row[1] for row in terms}, page("README.zh-CN.md")

    for term in ("provider", "vendor", "task", "fallback", "deadline", "relay", "audit log", "plugin", "simulator"):
        assert words[term] in text, term
    assert not re.findall("提供方|供应商|提供商", text)


def found(dotted: str) -> Any:
    """What a dotted name stands for: a module, or a name in a module or in a class; None where there is none."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            value = getattr(value, part, None)
        return value
    return None
