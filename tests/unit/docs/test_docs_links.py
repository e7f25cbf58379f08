"""Links and commands of all pages."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Blocks = Callable[[str, str], list[str]]
Pages = Callable[[str], str]

ROOT = Path(__file__).resolve().parents[3]
WRITTEN_BY_TOOLS = {"benchmarks/results/", "benchmarks/.peers/"}
"""Folders that git ignores."""
PAGES = sorted(
    str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if path.is_file()
)


@pytest.mark.parametrize("path", PAGES)
def test_every_relative_link_leads_to_a_file_and_a_heading(path: str) -> None:
    """No link within the checkout is broken, its anchor included."""
    for target, anchor in links(ROOT / path):
        assert target.exists(), f"{path} links to {target}"
        assert not anchor or anchor in anchors(target), f"{path} links to #{anchor}"


def test_every_page_of_the_documentation_can_be_reached_from_the_readme() -> None:
    """Links lead from the README to every page."""
    found: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page.suffix == ".md" and page not in found:
            found.add(page)
            waiting += [target for target, _ in links(page)]

    assert {ROOT / path for path in PAGES} <= found


@pytest.mark.parametrize("language", ["bash", "sh", "json", "python", "toml"])
def test_both_readmes_have_the_same_commands_and_code(language: str, blocks: Blocks) -> None:
    """The Chinese README shows what the English one does; only comments may be in another language."""
    english, chinese = (
        list(map(without_comments, blocks(name, language))) for name in ("README.md", "README.zh-CN.md")
    )

    assert english
    assert english == chinese


def test_both_readmes_have_the_same_parts(page: Pages) -> None:
    """As many headings, table rows and links, in the same order."""
    english, chinese = page("README.md"), page("README.zh-CN.md")

    assert len(re.findall(r"^#+ ", english, re.MULTILINE)) == len(re.findall(r"^#+ ", chinese, re.MULTILINE))
    assert table_names(english) == table_names(chinese)
    assert link_targets(english) == link_targets(chinese)


@pytest.mark.parametrize("path", PAGES)
def test_every_make_target_that_is_named_exists(path: str, page: Pages) -> None:
    """`make something` in a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", page("Makefile"), re.MULTILINE))

    named = set(re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", page(path), re.MULTILINE))
    assert {first or second for first, second in named} <= targets


@pytest.mark.parametrize("path", PAGES)
def test_every_file_and_folder_that_is_named_exists(path: str, page: Pages) -> None:
    """A path in backquotes that begins with one of our top-level folders is a file or a folder of the checkout."""
    folders = (
        "api|benchmarks|cli|core|docs|examples|locks|polyrelay|providers|repositories|services|simulator|tests|worker"
    )
    named = set(re.findall(rf"`((?:{folders})/[\w./-]*)`", page(path)))

    assert sorted(each for each in named - WRITTEN_BY_TOOLS if not (ROOT / each).exists()) == []


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Files and anchors that a page links to within the checkout."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link and not link.startswith("mailto:"):
            name, _, anchor = link.partition("#")
            yield ((page.parent / name).resolve() if name else page), anchor


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_comments(block: str) -> str:
    """A block without comments and docstrings, which are for people."""
    block = re.sub(r'"""[^"]*"""', "", block)
    return "\n".join(re.sub(r"\s+# .*$", "", line) for line in block.splitlines())


def table_names(text: str) -> list[list[str]]:
    """What stands in backquotes in each row of the tables."""
    return [re.findall(r"`([^`]+)`", line) for line in text.splitlines() if line.startswith("| ")]


def link_targets(text: str) -> list[str]:
    """The targets of the page's links, in order, without anchors and without the link to the other README."""
    return [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "README" not in link]
