"""Version 1.0 of the plugin API: plugins written for it work with every 1.x."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

import polyrelay
import polyrelay.testing
from core.registry import load_registry
from polyrelay import API_VERSION, Env, hooks
from polyrelay.testing import ProviderContract, Reply, Talk
from tests.unit.polyrelay.surface import Surface, lost, surface_of

FOLDER = Path(__file__).parents[2] / "data" / "plugins" / "first_version"
SURFACE = FOLDER / "surface.json"
EVOLVE = (
    "The plugin API is frozen within a major version. Add what is new beside what is there: a field or an argument "
    "with a default, a further class, an optional capability in a Protocol of its own (as Cancels). Raise the minor "
    "number of API_VERSION for an addition. What must go away goes with the next major number, and a new frozen folder."
)
SAID = b'data: {"text":"Fo"}\n\ndata: {"text":"xes","end":"stop"}\n\ndata: [DONE]\n\n'
KEYS = {"FIRST_API_KEY": "made-up-first-key"}


def load_first() -> ModuleType:
    """The frozen plugin."""
    sys.path.insert(0, str(FOLDER))
    try:
        import polyrelay_first  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(FOLDER))
    module: ModuleType = polyrelay_first
    return module


def surface() -> Surface:
    """The surface of the plugin API and of the kit, now."""
    return {"polyrelay": surface_of(polyrelay), "polyrelay.testing": surface_of(polyrelay.testing)}


class TestFirstVersion(ProviderContract):
    """The frozen plugin keeps the contract, including cancel and stream."""

    plugin = load_first()
    env = KEYS
    talks = (
        Talk(
            model="first-image",
            params={"prompt": "a fox", "size": "1024x1024"},
            accepted=Reply(json={"id": "w1", "state": "open"}),
            refused=Reply(status=400, json={"error": "too long"}),
            working=Reply(json={"id": "w1", "state": "open", "percent": 40}),
            done=Reply(json={"id": "w1", "state": "done", "url": "https://first.example/w1"}),
            failed=Reply(json={"id": "w1", "state": "failed"}),
            cancelled=Reply(json={"id": "w1", "state": "stopped"}),
            too_late=Reply(json={"id": "w1", "state": "done"}),
            also={"first-video": {"prompt": "a fox"}},
        ),
        Talk(
            model="first-text",
            params={"prompt": "a fox"},
            accepted=Reply(json={"text": "Foxes", "end": "stop"}),
            refused=Reply(status=400, json={"error": "too long"}),
            streamed=Reply(body=SAID),
        ),
    )


def test_the_first_plugin_is_loaded_by_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin of the first version, without a declaration, is registered with all its models."""
    monkeypatch.syspath_prepend(str(FOLDER))
    found = [EntryPoint(name="first", value="polyrelay_first", group=hooks.ENTRY_POINTS)]

    registry = load_registry(Env(KEYS), found)

    assert [report.error for report in registry.reports] == [None]
    assert [model.name for model in registry.providers["first"].models] == ["first-image", "first-video", "first-text"]


def test_the_first_version_is_still_supported() -> None:
    """Names, fields, defaults, arguments and methods of version 1.0 still exist, and nothing new is required."""
    first: Surface = msgspec.json.decode(SURFACE.read_bytes())
    now = surface()

    problems = [f"{module}.{what}" for module in first for what in lost(first[module], now[module])]

    assert problems == [], EVOLVE
    assert API_VERSION[0] == 1, "a new major version has a frozen folder of its own"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda api: api.pop("Usage"), "Usage is gone"),
        (lambda api: api["Model"]["fields"].pop("max_open"), "Model.max_open is gone"),
        (lambda api: api["Model"]["fields"]["max_open"].update(required=True), "Model.max_open is required now"),
        (
            lambda api: api["Job"]["fields"].update(owner={"required": True, "type": ["str"], "default": ""}),
            "Job.owner is new and required",
        ),
        (
            lambda api: api["Pending"]["fields"]["poll_after_s"].update(default="9.0"),
            "Pending.poll_after_s has the default 9.0 instead of 2.0",
        ),
        (lambda api: api["Pending"]["fields"]["progress"].update(type=["int"]), "Pending.progress is ['int']"),
        (lambda api: api["Env"]["methods"].pop("missing"), "Env.missing is gone"),
        (
            lambda api: api["Env"]["methods"]["text"].append({"name": "x", "kind": "KEYWORD_ONLY", "required": True}),
            "Env.text(…) asks for x, which is new",
        ),
        (lambda api: api["Env"]["methods"]["text"].reverse(), "Env.text(…) takes its positional arguments in another"),
        (lambda api: api["Service"]["methods"].update(prices=[]), "Service.prices is asked of every plugin now"),
        (lambda api: api["RateLimited"]["bases"].remove("NotAccepted"), "RateLimited is no NotAccepted any more"),
        (lambda api: api["RejectReason"]["values"].remove("quota"), "RejectReason lacks the value quota"),
        (lambda api: api["TaskType"]["values"].remove("TEXT=text"), "TaskType lacks the value TEXT=text"),
        (lambda api: api["VendorHttp"]["takes"].pop(), "VendorHttp(…) does not take transport any more"),
        (lambda api: api["Provider"]["properties"].remove("models"), "Provider.models is gone"),
    ],
)
def test_each_kind_of_loss_is_noticed(change: Any, said: str) -> None:
    """Each kind of incompatible change is detected."""
    now = surface()["polyrelay"]
    change(now)

    assert [problem for problem in lost(surface()["polyrelay"], now) if said in problem]


def test_optional_additions_are_compatible() -> None:
    """A new name, a field or argument with a default, and a wider type are compatible."""
    now = surface()["polyrelay"]
    now["Prices"] = {}
    now["Model"]["fields"]["price"] = {"required": False, "type": ["float"], "default": "None"}
    now["Model"]["fields"]["max_open"]["type"].append("str")
    now["Env"]["methods"]["text"].append({"name": "x", "kind": "KEYWORD_ONLY", "required": False})

    assert lost(surface()["polyrelay"], now) == []
