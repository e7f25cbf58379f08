"""The conformance kit: a correct plugin passes, and each check finds the defect that it checks for."""

# ruff: noqa: ARG002 - the signatures are those of the contract

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any
from urllib.request import urlopen

import httpx
import msgspec
import pytest
from msgspec import Struct, structs

from polyrelay import (
    BearerAuth,
    Delta,
    Disabled,
    Done,
    Env,
    ImageOutput,
    Job,
    Model,
    Outcome,
    OutcomeUnknown,
    Params,
    Pending,
    ProtocolError,
    Provider,
    Rejected,
    TaskType,
    Unavailable,
    VendorHttp,
)
from polyrelay.testing import Reply, Talk, static
from polyrelay.testing.checks.all import BY_NAME, CHECKS, STATIC
from polyrelay.testing.service_fixture import SetUp
from polyrelay.testing.suite import ProviderContract, findings

KEYS = {"KIT_API_KEY": "made-up-kit-key"}
TEXT = b'data: {"text":"Fo"}\n\ndata: {"text":"xes","end":"stop"}\n\n'
TALK = Talk(
    model="kit-1",
    params={"prompt": "a fox"},
    accepted=Reply(json={"id": "w1"}),
    refused=Reply(status=400, json={"error": "too long"}),
    working=Reply(json={"id": "w1"}),
    done=Reply(json={"id": "w1", "url": "https://kit.example/w1"}),
    cancelled=Reply(json={"id": "w1"}),
    streamed=Reply(body=TEXT),
)


class KitParams(Params, frozen=True, kw_only=True):
    """Input of the Jimeng models."""

    prompt: str


class LooseParams(Struct, frozen=True, kw_only=True):
    """Accepts unknown fields and any prompt."""

    prompt: Any


class Taking(Params, frozen=True, kw_only=True):
    """Has a field that every task has."""

    prompt: str
    provider: str = ""


class Unwritable(Params, frozen=True, kw_only=True):
    """Has a type without a JSON Schema."""

    prompt: str
    when: Callable[[], None] | None = None


class Work(Struct):
    """The vendor's answer."""

    id: str
    url: str | None = None


class Said(Struct):
    """A piece of a text."""

    text: str
    end: str | None = None


MODEL = Model(name="kit-1", type=TaskType.IMAGE, params=KitParams, timeout_s=60.0)


class Good:
    """A service that keeps the contract."""

    def __init__(self, key: str, model: Model = MODEL) -> None:
        self.models: Sequence[Model] = (model,)
        self.key = key
        self.http = VendorHttp("kit", "https://kit.example", auth=BearerAuth(key))

    async def submit(self, job: Job[Any]) -> Outcome:
        """Start it."""
        answer = await self.http.submit("/works", json={"text": job.params.prompt})
        return Pending(operation=answer.read(Work).id)

    async def poll(self, job: Job[Any], operation: str) -> Outcome:
        """Ask for it."""
        work = (await self.http.query("GET", f"/works/{operation}")).read(Work)
        return Done(outputs=(ImageOutput(url=work.url),)) if work.url else Pending(operation=operation)

    async def cancel(self, job: Job[Any], operation: str) -> None:
        """Stop it."""
        await self.http.query("DELETE", f"/works/{operation}")

    async def stream(self, job: Job[Any]) -> AsyncIterator[Delta]:
        """Write a text."""
        end = None
        async for data in self.http.events("/say", json={"text": job.params.prompt}):
            try:
                said = msgspec.json.decode(data, type=Said)
            except ValueError as error:
                raise ProtocolError("a piece does not decode") from error
            end = said.end
            yield Delta(text=said.text, finish_reason=end)
        if end is None:
            raise OutcomeUnknown("the text broke off")

    async def aclose(self) -> None:
        """Close the connections."""
        await self.http.aclose()


class AnswersAtOnce(Good):
    """Returns a result from submit, though the talk has polls."""

    async def submit(self, job: Job[Any]) -> Outcome:
        """Answer what did not come."""
        await super().submit(job)
        return Done(outputs=(ImageOutput(url="https://kit.example/made-up"),))


class TakesAllForUnsent(Good):
    """Raises Unavailable for every failure."""

    async def submit(self, job: Job[Any]) -> Outcome:
        """Be wrong about money."""
        try:
            return await super().submit(job)
        except (OutcomeUnknown, ProtocolError) as error:
            raise Unavailable("try again") from error


class TakesAllForSent(Good):
    """Raises OutcomeUnknown although nothing was sent."""

    async def submit(self, job: Job[Any]) -> Outcome:
        """Lose tasks."""
        try:
            return await super().submit(job)
        except Unavailable as error:
            raise OutcomeUnknown("who knows") from error


class Retries(Good):
    """Repeats a submit."""

    async def submit(self, job: Job[Any]) -> Outcome:
        """Pay twice."""
        try:
            return await super().submit(job)
        except OutcomeUnknown:
            return await super().submit(job)


class Remembers(Good):
    """Keeps state in the service and deletes it with the first result."""

    known: set[str]

    async def submit(self, job: Job[Any]) -> Outcome:
        """Note the operation."""
        outcome = await super().submit(job)
        self.known = {outcome.operation} if isinstance(outcome, Pending) else set()
        return outcome

    async def poll(self, job: Job[Any], operation: str) -> Outcome:
        """Ask only for what is known."""
        if operation not in getattr(self, "known", ()):
            raise Rejected("never heard of it", reason="not_found")
        outcome = await super().poll(job, operation)
        if isinstance(outcome, Done):
            self.known.clear()
        return outcome


class Careless(Good):
    """Reads answers without checking status or shape."""

    async def submit(self, job: Job[Any]) -> Outcome:
        """Raise whatever comes."""
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"https://kit.example/works?key={self.key}")
            return Pending(operation=answer.json()["id"])

    async def poll(self, job: Job[Any], operation: str) -> Outcome:
        """Raise whatever comes."""
        async with httpx.AsyncClient() as client:
            work = (await client.get(f"https://kit.example/works/{operation}")).json()
        return Done(outputs=(ImageOutput(url=work["url"]),)) if "url" in work else Pending(operation=operation)


class Swallows(Good):
    """Ignores failures of cancel and stream."""

    async def cancel(self, job: Job[Any], operation: str) -> None:
        """Say that it stopped."""
        try:
            await super().cancel(job, operation)
        except Exception:
            logging.getLogger("kit").debug("not stopped")

    async def stream(self, job: Job[Any]) -> AsyncIterator[Delta]:
        """End as if the text were whole."""
        try:
            async for piece in super().stream(job):
                yield piece
        except Exception:
            logging.getLogger("kit").debug("not whole")


class Mute(Good):
    """Has cancel and stream that do nothing useful."""

    async def cancel(self, job: Job[Any], operation: str) -> None:
        """Never stop."""
        raise Rejected("too late")

    async def stream(self, job: Job[Any]) -> AsyncIterator[Delta]:
        """Yield a piece without an end."""
        yield Delta(text="Fo")


class Blocks(Good):
    """Blocks the event loop."""

    async def submit(self, job: Job[Any]) -> Outcome:
        """Wait in the wrong way."""
        time.sleep(0.08)  # noqa: ASYNC251
        return await super().submit(job)


class CallsWithAnother(Good):
    """Does not use httpx."""

    async def submit(self, job: Job[Any]) -> Outcome:
        """Ask with another client."""
        try:
            await asyncio.to_thread(urlopen, "http://kit.example/works", timeout=1)
        except OSError as error:
            raise Unavailable("not reached") from error
        return Pending(operation="w1")


class ClosesOnce(Good):
    """Cannot be closed twice."""

    async def aclose(self) -> None:
        """Fail the second time."""
        await super().aclose()
        if self.key == "":
            raise RuntimeError("closed already")
        self.key = ""


class Synchronous(Good):
    """Has no async def."""

    def poll(self, job: Job[Any], operation: str) -> Outcome:  # type: ignore[override]
        """Answer at once."""
        return Pending(operation=operation)


class TellsItsKey(Good):
    """Logs its API key."""

    def __repr__(self) -> str:
        return f"TellsItsKey({self.key})"


Register = Callable[[Env], Iterable[Provider]]


def serving(kind: type[Good], model: Model = MODEL) -> Register:
    """A hook that registers such a service, or a Disabled without the key."""

    def register(env: Env) -> list[Provider]:
        key = env.secret("KIT_API_KEY")
        if key is None:
            return [Provider("kit", [Disabled([model], "KIT_API_KEY is not set")])]
        return [Provider("kit", [kind(key.reveal(), model)])]

    return register


def having(**changes: Any) -> Register:
    """A hook whose model has these fields."""
    return serving(Good, structs.replace(MODEL, **changes))


def connecting(env: Env) -> list[Provider]:
    """A hook that connects to its vendor."""
    httpx.get("https://kit.example/hello")
    return list(serving(Good)(env))


def demanding(env: Env) -> list[Provider]:
    """A hook that fails without the key."""
    key = env.secret("KIT_API_KEY")
    assert key is not None, "no key"
    return list(serving(Good)(env))


def vanishing(env: Env) -> list[Provider]:
    """A hook that registers nothing without the key, and another provider in its place."""
    return list(serving(Good)(env)) if env.get("KIT_API_KEY") else [Provider("other", [Good("none", MODEL)])]


def set_up(register: Register, talk: Talk = TALK, **more: Any) -> SetUp:
    """A test class with that plugin."""
    return SetUp(register=register, settings=KEYS, talks=[talk], not_accepted=more.get("not_accepted", {}))


DEFECTS: list[tuple[str, Register, str]] = [
    ("services_are_asynchronous", serving(Synchronous), "Synchronous.poll is not an async def"),
    ("models_are_sane", having(timeout_s=float("nan")), "timeout_s nan"),
    ("models_are_sane", having(name="kit 1"), "no spaces"),
    ("models_are_sane", having(max_open=0), "max_open 0"),
    ("params_are_strict", having(params=LooseParams), "not a subclass of polyrelay.Params"),
    ("params_are_strict", having(params=LooseParams), "accepts any value"),
    ("params_are_strict", having(params=Taking), "has a field provider already"),
    ("schemas_are_valid", having(params=Unwritable), "no JSON Schema can be generated for Unwritable"),
    ("registers_without_network", connecting, "construct objects, open no connections"),
    ("registers_without_network", demanding, "with no settings it raised AssertionError"),
    ("disabled_without_credentials", vanishing, "kit is not registered"),
    ("disabled_without_credentials", vanishing, "use Disabled"),
    ("talks_cover_the_models", having(name="kit-2"), "there is no talk for kit-2"),
    ("params_refuse_what_is_wrong", having(params=LooseParams), "an unknown field is accepted"),
    ("params_refuse_what_is_wrong", having(params=LooseParams), "prompt accepts a list"),
    ("network_is_reached_with_httpx", serving(CallsWithAnother), "without httpx, to kit.example"),
    ("loop_is_not_blocked", serving(Blocks), "submit blocked the event loop for"),
    ("aclose_is_harmless", serving(ClosesOnce), "aclose a second time raised RuntimeError"),
    ("submit_is_answered", serving(AnswersAtOnce), "must give Pending"),
    ("submit_is_answered", serving(Careless), "`refused` must raise Rejected"),
    ("submit_by_status", serving(TakesAllForUnsent), "HTTP 503 with no body must raise OutcomeUnknown"),
    ("submit_without_connection", serving(TakesAllForSent), "must raise Unavailable"),
    ("submit_without_answer", serving(TakesAllForUnsent), "must raise OutcomeUnknown"),
    ("submit_cut_off", serving(TakesAllForUnsent), "a connection closed before the answer"),
    ("submit_cut_off", serving(TakesAllForUnsent), "a truncated answer"),
    ("submit_is_sent_once", serving(Retries), "after a read timeout another request was sent, POST /works"),
    ("any_bytes_to_submit", serving(Careless), "which is not a ProviderError"),
    ("any_bytes_to_submit", serving(TakesAllForUnsent), "may be an acceptance"),
    ("poll_is_answered", serving(Synchronous), "`working` must give Pending"),
    ("poll_is_repeatable", serving(Remembers), "the second one raised Rejected"),
    ("poll_needs_no_memory", serving(Remembers), "all that poll needs must be in the operation"),
    ("poll_by_status", serving(Careless), "HTTP 401 with no body must raise Rejected(reason='auth')"),
    ("poll_without_answer", serving(Careless), "a refused connection must raise"),
    ("any_bytes_to_poll", serving(Careless), "which is not a ProviderError"),
    ("secrets_are_not_shown", serving(TellsItsKey), "KIT_API_KEY is shown in the repr of the service"),
    ("secrets_are_not_shown", serving(Careless), "KIT_API_KEY is shown in a log line of a submit"),
    ("cancel_is_answered", serving(Mute), "`cancelled` must return None"),
    ("cancel_fails_openly", serving(Swallows), "after HTTP 500 it returned None"),
    ("stream_is_answered", serving(Mute), "no finish_reason"),
    ("stream_fails_openly", serving(Swallows), "a truncated answer must raise OutcomeUnknown"),
    ("stream_fails_openly", serving(Swallows), "ended as if it were whole"),
]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_good_plugin_passes(name: str) -> None:
    """No finding for a plugin that keeps the contract."""
    assert findings(name, set_up(serving(Good)), TALK) == []


@pytest.mark.parametrize(("name", "register", "said"), DEFECTS)
def test_a_defect_is_found(name: str, register: Register, said: str) -> None:
    """The check for a defect reports it, with a message that names it."""
    found = findings(name, set_up(register), TALK)

    assert [message for message in found if said in message], found


def test_every_check_has_a_defect_here() -> None:
    """Each check has a plugin here that it refuses."""
    assert {name for name, _, _ in DEFECTS} == set(BY_NAME)


def test_a_documented_status_may_say_that_nothing_was_started() -> None:
    """A 503 that is documented as "nothing started" must be NotAccepted; no other server error may be."""

    class Documented(Good):
        async def submit(self, job: Job[Any]) -> Outcome:
            try:
                return await super().submit(job)
            except OutcomeUnknown as error:
                if error.http_status == 503:
                    raise Unavailable("busy", http_status=503) from error
                raise

    allowed = set_up(serving(Documented), not_accepted={503: "https://kit.example/errors#503"})

    assert findings("submit_by_status", allowed, TALK) == []
    assert findings("submit_by_status", set_up(serving(Documented)), TALK) != []
    assert findings("submit_by_status", structs.replace(allowed, register=serving(Good)), TALK) != []


def test_the_static_part_needs_no_talk() -> None:
    """`static.check` returns the problems of a provider, each with the name of its check."""
    (good,) = serving(Good)(Env(KEYS))
    (bad,) = having(timeout_s=0.0, params=Taking)(Env(KEYS))

    assert static.check(good) == []
    assert [finding.check for finding in static.check(bad)] == ["models_are_sane", "params_are_strict"]


def test_a_check_that_raises_is_a_finding() -> None:
    """`static.check` returns findings even if the plugin's objects raise."""
    (odd,) = having(timeout_s="soon")(Env(KEYS))

    assert any("could not be checked" in finding.message for finding in static.check(odd))


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"skips": {"no_such_check": "why not"}}, "which is not a check"),
        ({"skips": {"loop_is_not_blocked": " "}}, "has no reason"),
        ({"not_accepted": {404: "page"}}, "it is for server errors"),
        ({"not_accepted": {503: ""}}, "has no source"),
        ({"talks": ()}, "`talks`"),
        ({"plugin": None}, "`plugin`"),
        ({"talks": (TALK, TALK)}, "two talks for kit-1"),
    ],
)
def test_an_incomplete_test_class_is_refused(attributes: dict[str, Any], said: str) -> None:
    """A skip needs an existing check and a reason; plugin and talks must be set."""
    with pytest.raises(TypeError, match=said):
        type("TestKit", (ProviderContract,), {"plugin": object(), "env": KEYS, "talks": (TALK,), **attributes})


@pytest.mark.parametrize(
    "make",
    [
        lambda: structs.replace(TALK, accepted=()),
        lambda: structs.replace(TALK, refused=()),
        lambda: structs.replace(TALK, working=()),
        lambda: Reply(json={}, body=b"{}"),
    ],
)
def test_a_talk_has_what_is_needed(make: Callable[[], object]) -> None:
    """A talk without an acceptance, a refusal or an unfinished answer, or a reply with two bodies, is refused."""
    with pytest.raises(ValueError, match="has"):
        make()


def test_the_static_checks_are_among_the_checks() -> None:
    """The checks of `static.check` are also checks of the test class, and all names are unique."""
    assert set(STATIC) <= set(CHECKS)
    assert len(BY_NAME) == len(CHECKS)
