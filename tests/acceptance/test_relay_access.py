"""Authentication at the relay: the official clients with polyrelay's keys, and refusals in the vendor's format."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from msgspec import Struct
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from volcengine.auth.SignerV4 import SignerV4
from volcengine.visual.VisualService import VisualService

from cli.embedded.stack import Stack
from core.clock import utc_now
from core.vault import vault_of
from polyrelay import Secret
from repositories.mongodb.client import connect_mongo
from repositories.mongodb.keys import MongoKeys
from services.access.api_keys import ApiKeys, KeyOrder, NewKey
from simulator.process import ControlClient
from tests.acceptance.conftest import FAST
from tests.acceptance.relay_clients import (
    LINKS,
    Document,
    Keys,
    error_of,
    universal_api,
    universal_call,
    until_done,
    visual_service,
)

ENCRYPTION_KEY = Secret(base64.b64encode(bytes(range(32))).decode())
T2I = "jimeng_t2i_v40"
LATER = timedelta(hours=1)


class IssuedKeys(Struct, frozen=True, kw_only=True):
    """API keys as the clients need them."""

    ada: Keys
    bob: Keys
    expired: Keys
    revoked: Keys


class Recorder(HTTPAdapter):
    """Records the signed requests of a client."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[PreparedRequest] = []

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        """Record and send."""
        self.sent.append(request.copy())
        return super().send(request, *args, **options)


def keys_of(made: NewKey) -> Keys:
    """The key as a client needs it: access key and secret."""
    return made.key.access_key, made.secret.reveal()


async def issued_keys(mongo_url: str) -> IssuedKeys:
    """Create keys of two owners, an expired key and a revoked key."""
    database = connect_mongo(mongo_url)
    store, vault = MongoKeys(database), vault_of(ENCRYPTION_KEY)
    now, before = ApiKeys(store, vault, utc_now), ApiKeys(store, vault, lambda: utc_now() - 2 * LATER)
    revoked = await now.create(KeyOrder(owner="ada"))
    await now.revoke(revoked.key.id)
    issued = IssuedKeys(
        ada=keys_of(await now.create(KeyOrder(owner="ada"))),
        bob=keys_of(await now.create(KeyOrder(owner="bob"))),
        expired=keys_of(await before.create(KeyOrder(owner="ada", expires_at=utc_now() - LATER))),
        revoked=keys_of(revoked),
    )
    database.client.close()
    return issued


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with authentication."""
    env = {"AUTH": "required", "API_KEY_ENCRYPTION_KEY": ENCRYPTION_KEY.reveal(), "POLL_SCALE": "0.05"}
    whole = Stack(tmp_path_factory.mktemp("stack"), env=env, simulator_args=FAST)
    asyncio.run(whole.start())
    try:
        yield whole
    finally:
        asyncio.run(whole.stop())


@pytest.fixture(scope="module")
def issued(stack: Stack) -> IssuedKeys:
    """Keys that the stack knows."""
    return asyncio.run(issued_keys(stack.mongo_url))


@pytest.fixture
def visual(stack: Stack, issued: IssuedKeys) -> VisualService:
    """The official client with ada's key."""
    return visual_service(stack.api_url, issued.ada)


@pytest.fixture
def control(stack: Stack) -> ControlClient:
    """Control of the simulator, for its counts."""
    return ControlClient(stack.simulator_url or "")


def refusal_of(call: Callable[[Document], Any], form: Document) -> tuple[int, str]:
    """The gateway's error number and code for a refused call."""
    return gateway_error(error_of(call, form))


def gateway_error(document: Document) -> tuple[int, str]:
    """The error number and code of the gateway's envelope."""
    metadata = document["ResponseMetadata"]
    assert (metadata["Service"], metadata["Region"]) == ("cv", "cn-north-1")
    error = metadata["Error"]
    return error["CodeN"], error["Code"]


def test_the_official_client_submits_and_queries(visual: VisualService, issued: IssuedKeys, stack: Stack) -> None:
    """Text to image with a polyrelay key; the task belongs to the key's owner."""
    task_id = visual.cv_sync2async_submit_task({"req_key": T2I, "prompt": "keyed"})["data"]["task_id"]
    _, data = until_done(visual.cv_sync2async_get_result, {"req_key": T2I, "task_id": task_id, **LINKS})

    assert httpx.get(data["image_urls"][0], trust_env=False).status_code == 200
    headers = {"Authorization": f"Bearer {issued.ada[1]}"}
    task = httpx.get(f"{stack.api_url}/api/v1/ai/task/result/{task_id}", headers=headers, trust_env=False)
    assert task.status_code == 200


def test_the_universal_client_is_authenticated(stack: Stack, issued: IssuedKeys) -> None:
    """The universal client, which also signs `X-Sdk-*`, is authenticated."""
    universal = universal_api(stack.api_url, issued.ada)

    answer = universal_call(universal, "CVSync2AsyncSubmitTask", {"req_key": T2I, "prompt": "keyed universal"})

    assert answer["code"] == 10000


def test_a_wrong_secret_is_refused(stack: Stack, issued: IssuedKeys, control: ControlClient) -> None:
    """A wrong secret answers `SignatureDoesNotMatch`; nothing is submitted."""
    visual = visual_service(stack.api_url, (issued.ada[0], "sk_wrong"))
    assert refusal_of(visual.cv_sync2async_submit_task, {"req_key": T2I, "prompt": "wrong secret"}) == (
        100010,
        "SignatureDoesNotMatch",
    )
    assert "wrong secret" not in control.stats().prompts


def test_an_unknown_key_is_refused(stack: Stack) -> None:
    """An unknown key answers the same as a wrong secret, so that a caller cannot find out which keys exist."""
    visual = visual_service(stack.api_url, ("ak_unknown", "sk_wrong"))
    assert refusal_of(visual.cv_process, {"req_key": T2I}) == (100010, "SignatureDoesNotMatch")


def test_an_expired_key_is_refused(stack: Stack, issued: IssuedKeys) -> None:
    """An expired key answers `InvalidAccessKey`."""
    visual = visual_service(stack.api_url, issued.expired)
    assert refusal_of(visual.cv_sync2async_submit_task, {"req_key": T2I}) == (100009, "InvalidAccessKey")


def test_a_revoked_key_is_refused(stack: Stack, issued: IssuedKeys) -> None:
    """A revoked key answers `InvalidAccessKey`."""
    visual = visual_service(stack.api_url, issued.revoked)
    assert refusal_of(visual.cv_sync2async_get_result, {"req_key": T2I}) == (100009, "InvalidAccessKey")


def test_a_signature_of_a_skewed_clock_is_refused(visual: VisualService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature that is ten minutes old, or ten minutes in the future, answers `InvalidTimestamp`."""
    for skew in (timedelta(minutes=-10), timedelta(minutes=10)):
        stamp = (datetime.now(UTC) + skew).strftime("%Y%m%dT%H%M%SZ")
        monkeypatch.setattr(SignerV4, "get_current_format_date", staticmethod(lambda stamp=stamp: stamp))
        assert refusal_of(visual.cv_sync2async_submit_task, {"req_key": T2I}) == (100006, "InvalidTimestamp")


def recorded(visual: VisualService, prompt: str) -> tuple[Recorder, PreparedRequest]:
    """A successful submit: the recorder and the signed request."""
    recorder = Recorder()
    visual.session.mount("http://", recorder)
    visual.cv_sync2async_submit_task({"req_key": T2I, "prompt": prompt})
    return recorder, recorder.sent[-1].copy()


def sent_again(visual: VisualService, request: PreparedRequest) -> Response:
    """The response to a recorded request that is sent again."""
    answer: Response = visual.session.send(request)
    return answer


def test_a_replayed_submit_is_refused(visual: VisualService, control: ControlClient) -> None:
    """A submit with a signature that was used before is refused; one submit at the vendor."""
    _, request = recorded(visual, "replayed")

    answer = sent_again(visual, request)

    assert answer.status_code == 401
    assert gateway_error(answer.json()) == (100010, "SignatureDoesNotMatch")
    assert control.stats().prompts["replayed"].received == 1


def test_a_changed_body_is_refused(visual: VisualService, control: ControlClient) -> None:
    """A body other than the signed one is refused; nothing is submitted."""
    _, request = recorded(visual, "as signed")
    body = json.dumps({"req_key": T2I, "prompt": "as changed"})
    request.prepare_body(body, None)

    answer = sent_again(visual, request)

    assert answer.status_code == 401
    assert gateway_error(answer.json()) == (100010, "SignatureDoesNotMatch")
    assert "as changed" not in control.stats().prompts


def test_a_changed_query_is_refused(visual: VisualService) -> None:
    """A signature for one Action is not valid for another."""
    _, request = recorded(visual, "one action")
    request.url = (request.url or "").replace("CVSync2AsyncSubmitTask", "CVSubmitTask")

    answer = sent_again(visual, request)

    assert answer.status_code == 401
    assert gateway_error(answer.json()) == (100010, "SignatureDoesNotMatch")


def test_a_query_may_be_repeated(visual: VisualService) -> None:
    """The signature of a query can be used again, since a query changes nothing."""
    recorder = Recorder()
    visual.session.mount("http://", recorder)
    visual.cv_sync2async_get_result({"req_key": T2I, "task_id": "unknown"})

    assert sent_again(visual, recorder.sent[-1]).status_code == 200


def test_a_call_without_a_signature_is_refused(stack: Stack) -> None:
    """Every route of the relay refuses a request without a signature."""
    for path in ("/?Action=CVProcess&Version=2022-08-31", "/v1/submit", "/v1/get-result", "/"):
        answer = httpx.post(f"{stack.api_url}{path}", json={}, trust_env=False)
        assert answer.status_code == 401, path
        assert gateway_error(answer.json()) == (100003, "MissingAuthenticationToken")


def test_a_bearer_token_is_accepted(stack: Stack, issued: IssuedKeys) -> None:
    """A request with the secret as bearer token is authenticated."""
    headers = {"Authorization": f"Bearer {issued.ada[1]}"}
    body = {"req_key": T2I, "prompt": "bearer"}

    answer = httpx.post(f"{stack.api_url}/v1/submit", json=body, headers=headers, trust_env=False, timeout=60)

    assert answer.json()["code"] == 10000


def test_a_key_cannot_query_the_task_of_another_owner(visual: VisualService, stack: Stack, issued: IssuedKeys) -> None:
    """The id of another owner's task answers the same as an unknown id."""
    task_id = visual.cv_sync2async_submit_task({"req_key": T2I, "prompt": "ada's"})["data"]["task_id"]
    bob = visual_service(stack.api_url, issued.bob)

    def seen(named: str) -> Document:
        answer = bob.cv_sync2async_get_result({"req_key": T2I, "task_id": named})
        return {**answer, "request_id": "", "time_elapsed": ""}

    assert seen(task_id)["data"] == {"status": "not_found"}
    assert seen(task_id) == seen("task_" + "0" * 32)
    own = visual.cv_sync2async_get_result({"req_key": T2I, "task_id": task_id})
    assert own["data"]["status"] != "not_found"
