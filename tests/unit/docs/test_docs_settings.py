"""The table of settings and `.env.example` are compared with `core.settings`."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.embedded.upstreams import VENDORS, simulated
from core.errors import ConfigurationError
from core.settings import NAMES, Settings, read_settings
from core.vendor_settings import VendorSettings

PAGE = "docs/reference/settings.md"
EXAMPLE = ".env.example"
Tables = Callable[[str], list[list[str]]]
Pages = Callable[[str], str]
Blocks = Callable[[str, str], list[str]]

NOT_ALLOWED = ("\x01?", "9" * 12)
"""Values that no setting with a rule takes."""


@pytest.fixture
def no_file(tmp_path: Path) -> Path:
    """A `.env` that sets nothing."""
    path = tmp_path / "empty.env"
    path.touch()
    return path


@pytest.fixture
def table(rows: Tables) -> dict[str, list[str]]:
    """Default, meaning and rule by name."""
    found = [[cell.strip("`") if number < 2 else cell for number, cell in enumerate(row)] for row in rows(PAGE)]
    assert len(found) == len({row[0] for row in found}), "a setting is there twice"
    return {row[0]: row[1:] for row in found}


def test_every_setting_has_a_row_and_every_row_a_setting(table: dict[str, list[str]], root: Path) -> None:
    """The page lists the settings of the server and the names that the providers read; no other."""
    assert set(table) == set(NAMES) | names_read_by_providers(root)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_default_is_that_of_the_code(name: str, table: dict[str, list[str]], no_file: Path) -> None:
    """The default as it is written, set in the environment, gives what comes without it."""
    default = table[name][0]

    assert (default == "none") == (getattr(Settings(), NAMES[name]) is None)
    if default != "none":
        read = read_settings({name: default}, dotenv=no_file)
        assert getattr(read, NAMES[name]) == getattr(Settings(), NAMES[name])


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_meaning_is_that_of_the_code(name: str, table: dict[str, list[str]]) -> None:
    """The meaning is the line of the docstring, unchanged."""
    docs = "\n".join(inspect.getdoc(kind) or "" for kind in (VendorSettings, Settings))
    described = dict(re.findall(r"^    (\w+): (.+)$", docs, re.MULTILINE))

    assert table[name][1] == described[NAMES[name]]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_rule_is_that_of_the_code(name: str, table: dict[str, list[str]], no_file: Path) -> None:
    """What the page allows is what the message of a wrong value allows; a setting without a rule says what it takes."""
    rules = [rule for value in NOT_ALLOWED if (rule := refusal(name, value, no_file))]

    assert table[name][2] == rules[-1] if rules else table[name][2] != ""


def test_the_example_file_names_every_setting_once(page: Pages, root: Path) -> None:
    """`.env.example` has every setting, commented out, and nothing that is set."""
    names = re.findall(r"^# ([A-Z][A-Z0-9_]*)=", page(EXAMPLE), re.MULTILINE)

    assert sorted(names) == sorted(set(NAMES) | names_read_by_providers(root))
    assert all(not line or line.startswith("#") for line in page(EXAMPLE).splitlines())


def test_the_example_file_works_with_every_line_uncommented(page: Pages, tmp_path: Path) -> None:
    """With each `#` taken out it is read without complaint, and what has a default keeps it."""
    path = tmp_path / ".env"
    path.write_text(re.sub(r"^# ([A-Z][A-Z0-9_]*=)", r"\1", page(EXAMPLE), flags=re.MULTILINE), "utf-8")

    read = read_settings({}, dotenv=path)

    for field in NAMES.values():
        default = getattr(Settings(), field)
        assert getattr(read, field) == default if default is not None else getattr(read, field) is not None, field


@pytest.mark.parametrize(
    "path",
    [
        "docs/how-to/own-upstream.md",
        "docs/how-to/add-a-model.md",
        "docs/how-to/operate.md",
        "docs/explanation/gates.md",
        "docs/explanation/limits.md",
    ],
)
def test_the_lines_of_a_how_to_are_settings(path: str, blocks: Blocks, tmp_path: Path) -> None:
    """The `ini` blocks of a page are valid settings, and every name is a setting's."""
    assert blocks(path, "ini")
    for number, block in enumerate(blocks(path, "ini")):
        file = tmp_path / f"{number}.env"
        file.write_text(block, "utf-8")

        read_settings({}, dotenv=file)
        assert {line.partition("=")[0] for line in block.splitlines()} <= set(NAMES)


def test_the_how_to_of_an_upstream_names_the_simulator_as_it_is(blocks: Blocks) -> None:
    """Keys and addresses of the page are those that the simulator takes, for each vendor."""
    (block,) = blocks("docs/how-to/own-upstream.md", "ini")

    assert dict(line.split("=", 1) for line in block.splitlines()) == simulated(VENDORS, "http://127.0.0.1:9000")


def refusal(name: str, value: str, no_file: Path) -> str | None:
    """What is allowed instead of that value, or None where it is taken."""
    try:
        read_settings({name: value}, dotenv=no_file)
    except ConfigurationError as error:
        return str(error).partition("allowed is ")[2]
    return None


def names_read_by_providers(root: Path) -> set[str]:
    """The names that the built-in providers read from `Env` beside the settings."""
    code = "".join(path.read_text("utf-8") for path in (root / "providers").rglob("*.py"))
    return set(re.findall(r'env\.(?:text|get|secret)\(\s*"([A-Z_]+)"', code)) - set(NAMES)
