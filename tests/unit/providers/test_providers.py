"""The built-in providers: their registration with and without credentials, and their catalogue."""

import tomllib
from collections.abc import Callable
from datetime import date
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.errors import ConfigurationError
from core.registry import load_registry
from polyrelay import Cancels, Disabled, Env, Model, Provider, Streams, TaskType, VendorHttp, hooks
from providers import openai, volcengine
from providers.catalogue import built_in
from services.vendors import ark, jimeng
from services.vendors import openai as openai_services

ALL_KEYS = {
    "ARK_API_KEY": "a",
    "VOLCENGINE_ACCESS_KEY": "b",
    "VOLCENGINE_SECRET_KEY": "c",
    "OPENAI_API_KEY": "d",
}


def register(**values: str) -> dict[str, Provider]:
    """Both providers in that environment, by name."""
    env = Env(values)
    providers = [*volcengine.register_providers(env), *openai.register_providers(env)]
    return {provider.name: provider for provider in providers}


def all_models() -> list[tuple[str, Model]]:
    """Every model with its provider's name."""
    return [(provider.name, model) for provider in register().values() for model in provider.models]


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """Write an operator's catalogue with one model and return its path."""

    def write(**fields: str) -> str:
        path = tmp_path / "models.toml"
        path.write_text("[[model]]\n" + "".join(f'{name} = "{value}"\n' for name, value in fields.items()), "utf-8")
        return str(path)

    return write


def test_the_entry_points_load() -> None:
    """The entry points that the package declares register both providers."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    declared = project["entry-points"][hooks.ENTRY_POINTS]

    registry = load_registry(
        Env(ALL_KEYS), [EntryPoint(name, value, hooks.ENTRY_POINTS) for name, value in declared.items()]
    )

    assert {report.name: (report.providers, report.error) for report in registry.reports} == {
        "volcengine": (("volcengine",), None),
        "openai": (("openai",), None),
    }


@pytest.mark.parametrize(
    ("provider", "name", "kind", "deprecated"),
    [
        ("volcengine", "doubao-seedream-3-0-t2i-250415", TaskType.IMAGE, None),
        ("volcengine", "jimeng_high_aes_general_v21_L", TaskType.IMAGE, None),
        ("volcengine", "jimeng_vgfm_t2v_l20", TaskType.VIDEO, None),
        ("volcengine", "jimeng_vgfm_i2v_l20", TaskType.VIDEO, None),
        ("volcengine", "doubao-pro-4k", TaskType.TEXT, None),
        ("openai", "dall-e-3", TaskType.IMAGE, date(2026, 5, 12)),
        ("openai", "gpt-4", TaskType.TEXT, date(2026, 10, 23)),
        ("openai", "sora", TaskType.VIDEO, date(2026, 9, 24)),
    ],
)
def test_the_names_that_callers_know_are_there(
    provider: str, name: str, kind: TaskType, deprecated: date | None
) -> None:
    """The catalogue has the model names of the projects that polyrelay follows, with their shut-down dates."""
    model, _ = register()[provider].route(name)

    assert (model.type, model.deprecated) == (kind, deprecated)


@pytest.mark.parametrize(("provider", "model"), all_models())
def test_every_model_can_be_published(provider: str, model: Model) -> None:
    """Each model has a JSON Schema with the prompt, a time limit and a description."""
    schema = msgspec.json.schema(model.params)

    assert "prompt" in str(schema)
    assert model.timeout_s > 0
    assert model.description, f"{provider} {model.name}"


def test_the_families_of_a_provider_are_distinct() -> None:
    """The vendor services of a provider have distinct family names, and the family of every built-in entry exists."""
    families = [*jimeng.FAMILIES, *ark.FAMILIES]

    assert len(families) == len(set(families))
    known = {"volcengine": set(families), "openai": set(openai_services.FAMILIES)}
    assert [entry.name for entry in built_in() if entry.family not in known[entry.provider]] == []


def test_without_keys_every_model_is_listed_with_the_reason() -> None:
    """A provider without credentials lists its models and names the missing settings."""
    bare, full = register(), register(**ALL_KEYS)

    assert bare["openai"].unavailable == "OPENAI_API_KEY is not set"
    assert bare["volcengine"].unavailable == (
        "VOLCENGINE_ACCESS_KEY and VOLCENGINE_SECRET_KEY are not set; ARK_API_KEY is not set"
    )
    for name, provider in full.items():
        assert provider.unavailable is None
        assert {model.name for model in provider.models} == {model.name for model in bare[name].models}


def test_ark_works_without_jimengs_keys() -> None:
    """Each vendor's credentials enable that vendor's models only."""
    provider = register(ARK_API_KEY="a", VOLCENGINE_ACCESS_KEY="b")["volcengine"]

    _, ark_service = provider.route("doubao-seedream-4-0-250828")
    _, jimeng_service = provider.route("jimeng_t2i_v40")
    assert provider.unavailable is None
    assert isinstance(ark_service, ark.ArkImages)
    assert isinstance(jimeng_service, Disabled)
    assert jimeng_service.reason == "VOLCENGINE_SECRET_KEY is not set"


def test_the_services_have_their_capabilities() -> None:
    """Chat services can stream, Ark's videos can be cancelled, and no other service has these capabilities."""
    services = [service for provider in register(**ALL_KEYS).values() for service in provider.services]

    assert {type(service).__name__ for service in services if isinstance(service, Streams)} == {"ArkChat", "OpenAIChat"}
    assert {type(service).__name__ for service in services if isinstance(service, Cancels)} == {"ArkVideos"}


async def test_a_provider_closes_what_its_services_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection that was opened is closed, also by services that share one, and without an error."""
    opened: set[VendorHttp] = set()
    closed: set[VendorHttp] = set()
    monkeypatch.setattr(VendorHttp, "__init__", noting(VendorHttp.__init__, opened))
    monkeypatch.setattr(VendorHttp, "aclose", noting(VendorHttp.aclose, closed))

    for provider in register(**ALL_KEYS).values():
        await provider.aclose()

    assert len(opened) >= len(ALL_KEYS) - 1
    assert closed == opened


def noting(method: Callable[..., Any], seen: set[VendorHttp]) -> Callable[..., Any]:
    """The method, which notes on whom it was called."""

    def noted(self: VendorHttp, *args: Any, **options: Any) -> Any:
        seen.add(self)
        return method(self, *args, **options)

    return noted


def test_the_operators_catalogue_adds_and_replaces(own: Any) -> None:
    """The operator's file adds models to the built-in ones, and may replace them."""
    added = own(provider="volcengine", name="our-model", family="seedream-4", upstream="ep-1")
    assert register(MODEL_CATALOGUE=added)["volcengine"].route("our-model")[0].type is TaskType.IMAGE

    replaced = own(provider="openai", name="gpt-4", family="chat", description="ours")
    assert register(MODEL_CATALOGUE=replaced)["openai"].route("gpt-4")[0].description == "ours"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"provider": "volcengine", "family": "seedream-9"}, "families of volcengine: chat, jimeng-"),
        (
            {"provider": "openai", "family": "seedream-4"},
            "families of openai: chat, chat-reasoning, dall-e-3, gpt-image",
        ),
        (
            {"provider": "openia", "family": "chat"},
            "'openia' of the model 'x' is not known; allowed are openai, volcengine",
        ),
    ],
)
def test_a_wrong_entry_says_what_is_allowed(own: Any, fields: dict[str, str], said: str) -> None:
    """The error for an entry with an unknown provider or family lists the allowed names."""
    with pytest.raises(ConfigurationError, match=said):
        register(MODEL_CATALOGUE=own(name="x", **fields))


def test_a_wrong_entry_of_one_provider_leaves_the_other_alone(own: Any) -> None:
    """A wrong entry for volcengine does not affect openai."""
    path = own(provider="volcengine", name="x", family="nope")

    assert openai.register_providers(Env({"MODEL_CATALOGUE": path}))
    with pytest.raises(ConfigurationError):
        volcengine.register_providers(Env({"MODEL_CATALOGUE": path}))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AI_TIMEOUT", "soon", "AI_TIMEOUT='soon': allowed is a duration such as 30s"),
        ("POLL_SCALE", "fast", "POLL_SCALE='fast': allowed is a number above 0"),
        ("POLL_SCALE", "0", "a number above 0"),
        ("POLL_SCALE", "nan", "a number above 0"),
        ("MODEL_CATALOGUE", "/nowhere/models.toml", "/nowhere/models.toml"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(name: str, value: str, said: str) -> None:
    """The error for a wrong setting has its name, its value and what is allowed."""
    with pytest.raises(ConfigurationError, match=said):
        register(**ALL_KEYS, **{name: value})


def test_no_key_is_shown() -> None:
    """The `repr` of a provider has no credentials."""
    shown = repr(register(ARK_API_KEY="sekret-key")["volcengine"])

    assert "sekret-key" not in shown
