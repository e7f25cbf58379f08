"""Pages about models are compared with the catalogue."""

import tomllib
from collections.abc import Callable
from pathlib import Path

from polyrelay import Env
from providers import openai, volcengine
from providers.catalogue import built_in

Tables = Callable[[str], list[list[str]]]
Blocks = Callable[[str, str], list[str]]
PROVIDERS = {"volcengine": volcengine, "openai": openai}


def test_the_reference_lists_every_model_as_the_catalogue_has_it(rows: Tables) -> None:
    """Each model's row has its type, family, time, day of shut-down and description."""
    families = {(entry.provider, entry.name): entry.family for entry in built_in()}

    expected = [
        [
            f"`{model.name}`",
            model.type.value,
            f"`{families[name, model.name]}`",
            f"{model.timeout_s:g} s",
            model.deprecated.isoformat() if model.deprecated else "",
            model.description,
        ]
        for name, module in PROVIDERS.items()
        for provider in module.register_providers(Env({}))
        for model in provider.models
    ]
    assert rows("docs/reference/models.md") == expected


def test_the_readme_lists_models_that_exist_with_the_keys_that_they_need(rows: Tables) -> None:
    """For each model of the README: its provider serves it, and names exactly those keys as missing."""
    listed = [row for row in rows("README.md") if len(row) == 4]

    assert len(listed) == 9
    for provider_name, model_name, makes, needs in listed:
        (provider,) = PROVIDERS[provider_name.strip("`")].register_providers(Env({}))
        model, service = provider.route(model_name.strip("`"))
        assert makes.startswith(model.type.value)
        assert model.deprecated is None or model.deprecated.isoformat() in makes
        keys = needs.replace("`", "").split(", ")
        assert getattr(service, "reason", "") == Env({}).missing(*keys)


def test_the_catalogue_file_of_the_how_to_works(blocks: Blocks, tmp_path: Path) -> None:
    """The example adds its models to the providers, which serve them with the family's params."""
    (text,) = blocks("docs/how-to/add-a-model.md", "toml")
    path = tmp_path / "models.toml"
    path.write_text(text, "utf-8")
    keys = {"ARK_API_KEY": "k", "OPENAI_API_KEY": "k", "MODEL_CATALOGUE": str(path)}

    added = tomllib.loads(text)["model"]
    assert len(added) == 3
    for entry in added:
        (provider,) = PROVIDERS[entry["provider"]].register_providers(Env(keys))
        model, _ = provider.route(entry["name"])
        assert model.timeout_s == entry.get("timeout_s", model.timeout_s)
        assert model.description == entry.get("description", "")


def test_the_how_to_explains_every_field_of_a_catalogue_entry(rows: Tables) -> None:
    """The fields in the table are those of an entry."""
    listed = [row[0].strip("`") for row in rows("docs/how-to/add-a-model.md")]

    assert sorted(listed) == sorted(built_in()[0].__struct_fields__)
