"""The command `polyrelay providers check`, with the installed plugins and with an invalid one."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.fake_api import Run

Install = Callable[[str, str], None]

WRONG = """
from polyrelay import Disabled, Model, Params, Provider, TaskType, hookimpl

class Loose(Params, frozen=True):
    prompt: object

@hookimpl
def register_providers(env):
    model = Model(name="a b", type=TaskType.TEXT, params=Loose, timeout_s=0)
    return [Provider("loose", [Disabled([model], "never")])]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a plugin of one module on the path, as an installed distribution."""

    def put(name: str, code: str) -> None:
        site = tmp_path / "site"
        metadata = site / f"polyrelay_{name}-0.3.0.dist-info"
        metadata.mkdir(parents=True)
        (site / f"polyrelay_{name}.py").write_text(code)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: polyrelay-{name}\nVersion: 0.3.0\n")
        (metadata / "entry_points.txt").write_text(f"[polyrelay.providers]\n{name} = polyrelay_{name}\n")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, f"polyrelay_{name}", raising=False)

    return put


def test_the_built_in_providers_have_no_findings(run: Run) -> None:
    """The exit code is 0 with and without keys; without keys the output names what was not checked."""
    bare, keyed = run("providers", "check"), run("providers", "check", OPENAI_API_KEY="sk-test")

    assert bare.exit_code == keyed.exit_code == 0
    assert "OPENAI_API_KEY is not set" in bare.stdout
    assert "OPENAI_API_KEY" not in keyed.stdout


def test_an_invalid_provider_is_named_with_its_findings(run: Run, install: Install) -> None:
    """Each finding has its check and a message; the exit code is 1."""
    install("loose", WRONG)

    result = run("providers", "check", "loose")

    assert result.exit_code == 1
    assert "polyrelay-loose 0.3.0" in result.stdout
    assert "models_are_sane: the name 'a b'" in result.stdout
    assert "params_are_strict" in result.stdout
    assert "openai" not in result.stdout
    assert "loose" in result.stderr


def test_a_plugin_that_cannot_be_loaded_is_a_finding(run: Run, install: Install) -> None:
    """The JSON document has its package and the reason."""
    install("broken", "import a_module_that_is_not_there")

    result = run("providers", "check", "--format", "json")

    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    (found,) = [plugin for plugin in answer["plugins"] if plugin["plugin"] == "broken"]
    assert not answer["ok"]
    assert (found["package"], found["version"]) == ("polyrelay-broken", "0.3.0")
    assert "a_module_that_is_not_there" in found["error"]


def test_json_without_findings_is_ok(run: Run) -> None:
    """The document has `ok`, and each provider with its findings."""
    answer = json.loads(run("providers", "check", "openai", "--format", "json").stdout)

    assert answer["ok"]
    assert [plugin["plugin"] for plugin in answer["plugins"]] == ["openai"]
    assert answer["plugins"][0]["providers"][0]["findings"] == []


def test_an_unknown_name_ends_with_exit_code_2(run: Run) -> None:
    """The message lists the installed names."""
    result = run("providers", "check", "nobody")

    assert result.exit_code == 2
    assert "openai" in result.stderr


def test_the_list_shows_the_package_of_a_provider(run: Run, install: Install) -> None:
    """Package and version, number of models, availability and the reason are in one row."""
    install("loose", WRONG)

    result = run("providers", "list")

    (row,) = [line for line in result.stdout.splitlines() if line.startswith("loose")]
    assert row.split() == ["loose", "polyrelay-loose", "0.3.0", "1", "no:", "never"]
