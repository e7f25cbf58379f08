"""The command `polyrelay providers list`."""

import json

from tests.unit.cli.fake_api import Run


def test_without_keys_every_provider_is_listed_with_the_reason(run: Run) -> None:
    """A provider without credentials is listed with the missing settings."""
    result = run("providers", "list")

    assert result.exit_code == 0
    assert "OPENAI_API_KEY" in result.stdout
    assert "polyrelay" in result.stdout


def test_json_has_every_model_with_its_availability(run: Run) -> None:
    """With a key the provider and its models are available; the document also lists failed plugins."""
    answer = json.loads(run("providers", "list", "--format", "json", OPENAI_API_KEY="sk-test").stdout)

    by_name = {provider["name"]: provider for provider in answer["providers"]}
    assert by_name["openai"]["available"]
    assert {model["available"] for model in by_name["openai"]["models"]} == {True}
    assert not by_name["volcengine"]["available"]
    assert answer["failed_plugins"] == []


def test_models_are_shown_on_request(run: Run) -> None:
    """`--models` adds a row for each model."""
    assert "jimeng_t2i_v40" in run("providers", "list", "--models").stdout
