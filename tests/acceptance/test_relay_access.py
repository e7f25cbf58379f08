"""Who gets in at the relay: the official clients with keys of ours, and what is refused, in the vendor's shape."""

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


class Cast(Struct, frozen=True, kw_only=True):
    """Keys of ours, as the clients take them."""

    ada: Keys
    bob: Keys
    expired: Keys
    revoked: Keys


class Recorder(HTTPAdapter):
    """Keeps what the client sent, as it was signed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[PreparedRequest] = []

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        """Keep and send."""
        self.sent.append(request.copy())
        return super().send(request, *args, **options)


def keys_of(made: NewKey) -> Keys:
    """For a client."""
    return made.key.access_key, made.secret.reveal()


async def cast_of(mongo_url: str) -> Cast:
    """Two owners, and two keys that are good no more."""
    database = connect_mongo(mongo_url)
    store, vault = MongoKeys(database), vault_of(ENCRYPTION_KEY)
    now, before = ApiKeys(store, vault, utc_now), ApiKeys(store, vault, lambda: utc_now() - 2 * LATER)
    revoked = await now.create(KeyOrder(owner="ada"))
    await now.revoke(revoked.key.id)
    cast = Cast(
        ada=keys_of(await now.create(KeyOrder(owner="ada"))),
        bob=keys_of(await now.create(KeyOrder(owner="bob"))),
        expired=keys_of(await before.create(KeyOrder(owner="ada", expires_at=utc_now() - LATER))),
        revoked=keys_of(revoked),
    )
    database.client.close()
    return cast


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything running, with an API that asks who calls."""
    env = {"AUTH": "required", "API_KEY_ENCRYPTION_KEY": ENCRYPTION_KEY.reveal(), "POLL_SCALE": "0.05"}
    whole = Stack(tmp_path_factory.mktemp("stack"), env=env, simulator_args=FAST)
    asyncio.run(whole.start())
    try:
        yield whole
    finally:
        asyncio.run(whole.stop())


@pytest.fixture(scope="module")
def cast(stack: Stack) -> Cast:
    """The keys."""
    return asyncio.run(cast_of(stack.mongo_url))


@pytest.fixture
def visual(stack: Stack, cast: Cast) -> VisualService:
    """The official client with ada's key."""
    return visual_service(stack.api_url, cast.ada)


@pytest.fixture
def control(stack: Stack) -> ControlClient:
    """The vendor's counts."""
    return ControlClient(stack.simulator_url or "")


def refusal_of(call: Callable[[Document], Any], form: Document) -> tuple[int, str]:
    """The gateway's number and code."""
    return gateway_error(error_of(call, form))


def gateway_error(document: Document) -> tuple[int, str]:
    """The number and code of the gateway's envelope."""
    metadata = document["ResponseMetadata"]
    assert (metadata["Service"], metadata["Region"]) == ("cv", "cn-north-1")
    error = metadata["Error"]
    return error["CodeN"], error["Code"]


def test_the_official_client_from_submit_to_picture(visual: VisualService, cast: Cast, stack: Stack) -> None:
    """Text to image with a key of ours; the task belongs to the key's owner."""
    task_id = visual.cv_sync2async_submit_task({"req_key": T2I, "prompt": "keyed"})["data"]["task_id"]
    _, data = until_done(visual.cv_sync2async_get_result, {"req_key": T2I, "task_id": task_id, **LINKS})

    assert httpx.get(data["image_urls"][0], trust_env=False).status_code == 200
    headers = {"Authorization": f"Bearer {cast.ada[1]}"}
    task = httpx.get(f"{stack.api_url}/api/v1/ai/task/result/{task_id}", headers=headers, trust_env=False)
    assert task.status_code == 200


def test_the_universal_call_with_its_extra_headers(stack: Stack, cast: Cast) -> None:
    """The newer core SDK signs `X-Sdk-*` too, and is let in."""
    universal = universal_api(stack.api_url, cast.ada)

    answer = universal_call(universal, "CVSync2AsyncSubmitTask", {"req_key": T2I, "prompt": "keyed universal"})

    assert answer["code"] == 10000


def test_a_wrong_secret(stack: Stack, cast: Cast, control: ControlClient) -> None:
    """Refused by the gateway's word; nothing reaches the vendor."""
    visual = visual_service(stack.api_url, (cast.ada[0], "sk_wrong"))
    assert refusal_of(visual.cv_sync2async_submit_task, {"req_key": T2I, "prompt": "wrong secret"}) == (
        100010,
        "SignatureDoesNotMatch",
    )
    assert "wrong secret" not in control.stats().prompts


def test_an_unknown_key(stack: Stack) -> None:
    """As a wrong secret: nobody learns which keys there are."""
    visual = visual_service(stack.api_url, ("ak_unknown", "sk_wrong"))
    assert refusal_of(visual.cv_process, {"req_key": T2I}) == (100010, "SignatureDoesNotMatch")


def test_an_expired_key(stack: Stack, cast: Cast) -> None:
    """It is known, and good no more."""
    visual = visual_service(stack.api_url, cast.expired)
    assert refusal_of(visual.cv_sync2async_submit_task, {"req_key": T2I}) == (100009, "InvalidAccessKey")


def test_a_revoked_key(stack: Stack, cast: Cast) -> None:
    """It was taken back."""
    visual = visual_service(stack.api_url, cast.revoked)
    assert refusal_of(visual.cv_sync2async_get_result, {"req_key": T2I}) == (100009, "InvalidAccessKey")


def test_a_skewed_clock(visual: VisualService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose clock is ten minutes late, or early, signs in vain."""
    for skew in (timedelta(minutes=-10), timedelta(minutes=10)):
        stamp = (datetime.now(UTC) + skew).strftime("%Y%m%dT%H%M%SZ")
        monkeypatch.setattr(SignerV4, "get_current_format_date", staticmethod(lambda stamp=stamp: stamp))
        assert refusal_of(visual.cv_sync2async_submit_task, {"req_key": T2I}) == (100006, "InvalidTimestamp")


def recorded(visual: VisualService, prompt: str) -> tuple[Recorder, PreparedRequest]:
    """A submit that went well, as the client signed it."""
    recorder = Recorder()
    visual.session.mount("http://", recorder)
    visual.cv_sync2async_submit_task({"req_key": T2I, "prompt": prompt})
    return recorder, recorder.sent[-1].copy()


def sent_again(visual: VisualService, request: PreparedRequest) -> Response:
    """What a request gets that was recorded, and perhaps changed."""
    answer: Response = visual.session.send(request)
    return answer


def test_a_replayed_submit(visual: VisualService, control: ControlClient) -> None:
    """The same signature creates nothing twice."""
    _, request = recorded(visual, "replayed")

    answer = sent_again(visual, request)

    assert answer.status_code == 401
    assert gateway_error(answer.json()) == (100010, "SignatureDoesNotMatch")
    assert control.stats().prompts["replayed"].received == 1


def test_a_changed_body(visual: VisualService, control: ControlClient) -> None:
    """With the old hash, and with a new one that was not signed."""
    _, request = recorded(visual, "as signed")
    body = json.dumps({"req_key": T2I, "prompt": "as changed"})
    request.prepare_body(body, None)

    answer = sent_again(visual, request)

    assert answer.status_code == 401
    assert gateway_error(answer.json()) == (100010, "SignatureDoesNotMatch")
    assert "as changed" not in control.stats().prompts


def test_a_changed_query(visual: VisualService) -> None:
    """The signature of one Action is not good for another."""
    _, request = recorded(visual, "one action")
    request.url = (request.url or "").replace("CVSync2AsyncSubmitTask", "CVSubmitTask")

    answer = sent_again(visual, request)

    assert answer.status_code == 401
    assert gateway_error(answer.json()) == (100010, "SignatureDoesNotMatch")


def test_a_query_may_be_repeated(visual: VisualService) -> None:
    """It changes nothing, so its signature is not used up."""
    recorder = Recorder()
    visual.session.mount("http://", recorder)
    visual.cv_sync2async_get_result({"req_key": T2I, "task_id": "unknown"})

    assert sent_again(visual, recorder.sent[-1]).status_code == 200


def test_a_call_without_a_signature(stack: Stack) -> None:
    """Each route of the relay asks."""
    for path in ("/?Action=CVProcess&Version=2022-08-31", "/v1/submit", "/v1/get-result", "/"):
        answer = httpx.post(f"{stack.api_url}{path}", json={}, trust_env=False)
        assert answer.status_code == 401, path
        assert gateway_error(answer.json()) == (100003, "MissingAuthenticationToken")


def test_a_bearer_is_let_in(stack: Stack, cast: Cast) -> None:
    """For those who do not sign."""
    headers = {"Authorization": f"Bearer {cast.ada[1]}"}
    body = {"req_key": T2I, "prompt": "bearer"}

    answer = httpx.post(f"{stack.api_url}/v1/submit", json=body, headers=headers, trust_env=False, timeout=60)

    assert answer.json()["code"] == 10000


def test_one_key_cannot_query_anothers_task(visual: VisualService, stack: Stack, cast: Cast) -> None:
    """Another's id looks exactly like one that was never given out."""
    task_id = visual.cv_sync2async_submit_task({"req_key": T2I, "prompt": "ada's"})["data"]["task_id"]
    bob = visual_service(stack.api_url, cast.bob)

    def seen(named: str) -> Document:
        answer = bob.cv_sync2async_get_result({"req_key": T2I, "task_id": named})
        return {**answer, "request_id": "", "time_elapsed": ""}

    assert seen(task_id)["data"] == {"status": "not_found"}
    assert seen(task_id) == seen("task_" + "0" * 32)
    mine = visual.cv_sync2async_get_result({"req_key": T2I, "task_id": task_id})
    assert mine["data"]["status"] != "not_found"
