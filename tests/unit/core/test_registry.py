"""Providers found through entry points; plugins are isolated from each other."""

from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError, ProviderUnavailable, UnknownModel, UnknownProvider
from core.registry import Registry, load_registry
from polyrelay import Disabled, Env, Job, Model, Outcome, Params, Provider, TaskType, hooks
from polyrelay.contract import RESERVED_FIELDS
from services.tasks.create_fields import COMMON_FIELDS

PLUGINS = Path(__file__).parents[2] / "data" / "plugins"


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugins of the tests can be imported."""
    monkeypatch.syspath_prepend(str(PLUGINS))


def entry(name: str, module: str) -> EntryPoint:
    """An entry point as an installed plugin has one."""
    return EntryPoint(name=name, value=module, group=hooks.ENTRY_POINTS)


class Answering:
    """A service that serves models and can be closed, which may fail."""

    def __init__(self, *models: Model, broken: bool = False) -> None:
        self.models: Sequence[Model] = models
        self.closed = False
        self._broken = broken

    async def submit(self, job: Job[Any]) -> Outcome:
        """Nothing is submitted here."""
        raise NotImplementedError

    async def poll(self, job: Job[Any], operation: str) -> Outcome:
        """Nothing is polled here."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close, or fail to."""
        self.closed = True
        if self._broken:
            raise OSError("cannot close")


def model(name: str, kind: TaskType = TaskType.IMAGE) -> Model:
    """A model of that name."""
    return Model(name=name, type=kind, params=Params, timeout_s=60.0)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("plugin_import_error", "ImportError: no module named 'its_sdk'"),
        ("plugin_not_there", "ModuleNotFoundError"),
        ("plugin_exits", "SystemExit: this plugin needs Windows"),
        ("plugin_raising", "RuntimeError: no luck"),
        ("plugin_misspelt", "register_provider"),
        ("plugin_unmarked", "no hook register_providers"),
        ("plugin_wrong_answer", "not a polyrelay.Provider"),
        ("plugin_no_list", "TypeError"),
        ("plugin_reserved", "the names metadata, which every task has already"),
    ],
)
def test_a_broken_plugin_is_left_out_and_named(module: str, reason: str) -> None:
    """A broken plugin does not affect the plugins before and after it, and the report has the reason."""
    found = [entry("first", "plugin_good"), entry("broken", module), entry("last", "providers.openai")]

    registry = load_registry(Env({"GOOD_NAME": "first"}), found)

    assert list(registry.providers) == ["first", "openai"]
    reports = {report.name: report for report in registry.reports}
    assert reason in (reports["broken"].error or "")
    assert reports["broken"].providers == ()
    assert (reports["first"].error, reports["first"].providers) == (None, ("first",))


def test_a_wrong_setting_of_a_built_in_provider_stops_the_start() -> None:
    """With a wrong setting the process does not start, instead of starting with a part of its models."""
    with pytest.raises(ConfigurationError, match="nowhere"):
        load_registry(Env({"MODEL_CATALOGUE": "/nowhere.toml"}), [entry("openai", "providers.openai")])


def test_the_names_that_every_task_has_are_reserved() -> None:
    """The reserved names are those of the common fields."""
    assert set(COMMON_FIELDS) == RESERVED_FIELDS


def test_a_name_is_given_once() -> None:
    """Of two plugins with a provider of the same name, the first one keeps the name; the report shows the second."""
    registry = load_registry(Env({}), [entry("one", "plugin_good"), entry("two", "plugin_good")])

    assert [report.error for report in registry.reports] == [
        None,
        "ValueError: a provider named 'good' is registered already",
    ]
    assert list(registry.providers) == ["good"]


def test_a_request_goes_to_the_service_of_its_model() -> None:
    """A route has provider, model and service."""
    one, two = Answering(model("a")), Answering(model("b"))
    registry = Registry([Provider("p", [one, two])])

    route = registry.route("p", "b")

    assert (route.provider.name, route.model.name, route.service, route.unavailable) == ("p", "b", two, None)


def test_an_unknown_name_says_which_ones_there_are() -> None:
    """The error for an unknown provider or model has the value and the allowed names."""
    registry = Registry([Provider("p", [Answering(model("b"), model("a"))]), Provider("q", [])])

    with pytest.raises(UnknownProvider, match="allowed: p, q") as provider:
        registry.route("x", "a")
    with pytest.raises(UnknownModel, match="allowed: a, b") as unknown:
        registry.route("p", "x")
    assert (provider.value.details[0].value, unknown.value.details[0].field) == ("x", "model")
    with pytest.raises(UnknownModel, match="allowed: none"):
        registry.route("q", "x")


def test_a_model_of_another_type_is_refused() -> None:
    """The error for a model of another type lists the models of the requested type."""
    registry = Registry([Provider("p", [Answering(model("pic"), model("film", TaskType.VIDEO))])])

    with pytest.raises(UnknownModel, match="makes video, not image; allowed: pic"):
        registry.route_for("p", "film", TaskType.IMAGE)
    assert registry.route_for("p", "pic", TaskType.IMAGE).model.name == "pic"


def test_a_disabled_model_takes_no_new_task() -> None:
    """A model without credentials has a route for open tasks, and refuses new tasks with the reason."""
    registry = Registry([Provider("p", [Disabled(models=[model("a")], reason="KEY is not set")])])

    assert registry.route("p", "a").unavailable == "KEY is not set"
    with pytest.raises(ProviderUnavailable, match="p cannot serve a here: KEY is not set"):
        registry.route_for("p", "a", TaskType.IMAGE)


async def test_every_service_is_closed() -> None:
    """If closing one service fails, the others are closed nevertheless."""
    services = [Answering(model("a"), broken=True), Answering(model("b")), Answering(model("c"))]
    registry = Registry([Provider("p", services[:2]), Provider("q", services[2:])])

    await registry.aclose()

    assert [service.closed for service in services] == [True, True, True]
