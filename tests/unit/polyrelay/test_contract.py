"""The public values: contract structs, providers, the environment of a plugin, secrets."""

import copy
import pickle
from typing import Any

import msgspec
import pytest

from polyrelay import (
    Cancels,
    Disabled,
    Env,
    ImageOutput,
    Job,
    Model,
    Outcome,
    Params,
    Pending,
    Provider,
    Secret,
    Streams,
    TaskType,
    Unavailable,
    VideoOutput,
)

HIDDEN = "hidden-value"


class Sized(Params, frozen=True):
    """A model's input with a rule that concerns several fields."""

    width: int
    height: int = 1

    def __post_init__(self) -> None:
        if self.width < self.height:
            raise ValueError("width must not be below height")


class Service:
    """A service of some models."""

    def __init__(self, *names: str) -> None:
        self.models = [Model(name=name, type=TaskType.IMAGE, params=Sized, timeout_s=1.0) for name in names]

    async def submit(self, job: Job[Any]) -> Outcome:
        """Always open."""
        return Pending(operation=job.task_id)

    async def poll(self, job: Job[Any], operation: str) -> Outcome:
        """Always open."""
        return Pending(operation=f"{job.task_id} {operation}")

    async def aclose(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize("raw", [{"width": 2, "depth": 1}, {"width": "2"}, {}, {"width": 1, "height": 2}])
def test_params_are_strict(raw: dict[str, Any]) -> None:
    """Unknown fields, wrong types, missing fields and broken rules between fields are refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(raw, Sized)


@pytest.mark.parametrize("kind", [ImageOutput, VideoOutput])
def test_an_output_is_a_link_or_bytes(kind: type[ImageOutput | VideoOutput]) -> None:
    """Exactly one of `url` and `data` is set; empty bytes are bytes."""
    kind(url="https://x")
    kind(data=b"")
    for both in ({}, {"url": "https://x", "data": b"x"}):
        with pytest.raises(ValueError, match="exactly one"):
            kind(**both)  # type: ignore[arg-type]


def test_capabilities_are_detected_by_their_methods() -> None:
    """A service without the optional methods has neither capability."""
    assert not isinstance(Service(), Cancels | Streams)


def test_a_provider_routes_by_model_name() -> None:
    """Models keep the order of the services; an unknown name is a KeyError."""
    one, two = Service("a", "b"), Service("c")
    provider = Provider("my-provider_2", [one, two])
    assert [model.name for model in provider.models] == ["a", "b", "c"]
    assert provider.route("c") == (two.models[0], two)
    with pytest.raises(KeyError):
        provider.route("d")


@pytest.mark.parametrize("name", ["", "Big", "with space", "a/b", "多", "ä", "a.b"])
def test_a_providers_name_is_plain(name: str) -> None:
    """Only lower-case ASCII letters, digits, - and _ make a name."""
    with pytest.raises(ValueError, match="provider name"):
        Provider(name, [])


def test_a_model_is_served_once() -> None:
    """Two services of a provider cannot serve the same name, nor one service twice."""
    for services in ([Service("a"), Service("a")], [Service("a", "a")]):
        with pytest.raises(ValueError, match="serves the model 'a' twice"):
            Provider("p", services)


def test_a_provider_is_unavailable_when_all_of_it_is() -> None:
    """A provider with one working service is available; each reason is given once."""
    off = Disabled(models=Service("a").models, reason="KEY is not set")
    also_off = Disabled(models=Service("b").models, reason="KEY is not set")
    assert Provider("p", [off, also_off]).unavailable == "KEY is not set"
    assert Provider("p", [off, Service("c")]).unavailable is None


async def test_a_disabled_service_refuses_safely() -> None:
    """Its errors say that nothing was started, and the reason."""
    off = Disabled(models=Service("a").models, reason="KEY is not set")
    job: Any = msgspec.convert({"model": "a"}, type("J", (msgspec.Struct,), {"__annotations__": {"model": str}}))
    with pytest.raises(Unavailable, match="KEY is not set"):
        await off.submit(job)
    with pytest.raises(Unavailable, match="op-1 stays open"):
        await off.poll(job, "op-1")


def test_an_environment_hides_values_and_trims_them() -> None:
    """Spaces and line ends around a value are removed, an empty value is unset, and no value is printed."""
    env = Env({"KEY": f" {HIDDEN}\n", "EMPTY": " \n"})
    assert (env.get("KEY"), env.get("EMPTY"), env.get("NONE", "x"), env.text("EMPTY", "y")) == (HIDDEN, None, "x", "y")
    assert env.secret("KEY") == Secret(HIDDEN)
    assert env.secret("EMPTY") is None
    assert HIDDEN not in repr(env) + str(env)


def test_missing_names_are_reported_in_a_sentence() -> None:
    """The sentence lists the names that are not set; it is None where all are set."""
    env = Env({"A": "1"})
    assert env.missing("A") is None
    assert env.missing("A", "B") == "B is not set"
    assert env.missing("B", "C") == "B and C are not set"


def test_a_secret_is_never_printed() -> None:
    """No way of printing, formatting, logging or encoding shows a secret; only `reveal` does."""
    secret = Secret(HIDDEN)
    assert secret.reveal() == HIDDEN
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>20}",
        repr([secret]),
        repr({"a": secret}),
    ]
    shown += [repr(ValueError(secret)), str(ValueError(secret))]
    assert HIDDEN not in "".join(shown)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)


def test_a_secret_cannot_be_pickled() -> None:
    """A secret cannot be pickled, at any protocol, nor listed by its attributes."""
    secret = Secret(HIDDEN)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError):
            pickle.dumps(secret, protocol)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    assert not hasattr(secret, "__dict__")


def test_secrets_compare_by_value() -> None:
    """Two secrets of the same text are equal; a secret is no text."""
    assert Secret("a") == Secret("a")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a") != "a"
