"""Authentication over HTTP: Bearer secrets, signatures and signed links."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import pytest
from litestar.testing import AsyncTestClient
from msgspec import structs

from api.app import build_app
from core.keys import ApiKey
from core.task_states import State
from core.tasks import Result, Task
from polyrelay import Secret, TaskType
from services.access.api_keys import KeyOrder
from services.access.request_signatures import SPENT_FOR
from services.vendors.jimeng.signing import Credentials
from tests.unit.api.api_fixture import GOOD, NOW, ApiFixture, a_task
from tests.unit.api.callers import ASKING, OWNER, Callers, Client, Who, api_keys_of, asking, callers_of, signed

CREATE: Final = "/api/v1/ai/image/task"
BODY: Final = json.dumps(GOOD).encode()


@pytest.fixture
async def callers(api: ApiFixture) -> Callers:
    """A key for each kind of caller."""
    return await callers_of(api)


@pytest.fixture
async def client(api: ApiFixture) -> AsyncIterator[Client]:
    """A server that asks who calls."""
    async with asking(api) as caller:
        yield caller


async def refusal(client: Client, path: str = "/api/v1/ai/models", **fields: Any) -> tuple[int, str, str]:
    """Status, code and message of a call that is refused."""
    response = await client.request(fields.pop("method", "GET"), path, **fields)
    problem = response.json()["error"]
    return response.status_code, problem["code"], problem["message"]


async def changed(api: ApiFixture, key: ApiKey, **fields: Any) -> None:
    """Change a stored key."""
    await api.keys.save(structs.replace(key, version=key.version + 1, **fields))


async def test_a_signed_create_is_taken(client: Client, api: ApiFixture, callers: Callers) -> None:
    """The task belongs to the owner of the access key, and keeps the signature."""
    headers = signed("POST", CREATE, callers.credentials(Who.APP), body=BODY)
    response = await client.post(CREATE, content=BODY, headers=headers)

    assert response.status_code == 201, response.text
    task = await api.tasks.get(response.json()["data"]["task_id"])
    assert (task.owner, task.replay is not None) == (OWNER, True)


async def test_a_signed_read_is_taken_as_often_as_it_comes(client: Client, callers: Callers) -> None:
    """A signed read may be repeated; the query is signed, too."""
    target = "/api/v1/ai/tasks?limit=5&user_id=a%20b"
    headers = signed("GET", target, callers.credentials(Who.APP))

    assert [(await client.get(target, headers=headers)).status_code for _ in range(2)] == [200, 200]
    other = target.replace("limit=5", "limit=6")
    assert (await refusal(client, other, headers=headers))[:2] == (401, "invalid_signature")


async def test_a_recorded_create_cannot_be_sent_again(client: Client, api: ApiFixture, callers: Callers) -> None:
    """Neither while its task exists nor after it was deleted: a recorded request cannot cause a second charge."""
    headers = signed("POST", CREATE, callers.credentials(Who.APP), body=BODY)
    again: dict[str, Any] = {"method": "POST", "content": BODY, "headers": headers}
    task_id = (await client.post(CREATE, content=BODY, headers=headers)).json()["data"]["task_id"]

    assert (await refusal(client, CREATE, **again))[:2] == (401, "replayed_request")
    await client.delete(f"/api/v1/ai/task/{task_id}", headers=callers.headers(Who.APP))
    assert (await refusal(client, CREATE, **again))[:2] == (401, "replayed_request")
    assert (await client.get("/api/v1/ai/tasks", headers=callers.headers(Who.APP))).json()["data"]["total"] == 0


async def test_with_an_idempotency_key_the_same_signature_gets_the_same_answer(
    client: Client, callers: Callers
) -> None:
    """A request repeated by a proxy, or by a client within one second, is not treated as a replay."""
    headers = {
        **signed("POST", CREATE, callers.credentials(Who.APP), body=BODY),
        "Idempotency-Key": "order-1",
    }
    answers = [await client.post(CREATE, content=BODY, headers=headers) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.text for answer in answers}) == 1
    again: dict[str, Any] = {"method": "POST", "content": BODY, "headers": {**headers, "Idempotency-Key": "order-2"}}
    assert (await refusal(client, CREATE, **again))[:2] == (401, "replayed_request")


async def test_a_refused_create_uses_no_signature_up(client: Client, api: ApiFixture, callers: Callers) -> None:
    """A request that created nothing may be repeated: here the store was unavailable."""
    headers = signed("POST", CREATE, callers.credentials(Who.APP), body=BODY)
    api.tasks.reachable = False
    assert (await client.post(CREATE, content=BODY, headers=headers)).status_code == 503

    api.tasks.reachable = True
    assert (await client.post(CREATE, content=BODY, headers=headers)).status_code == 201


@pytest.mark.parametrize(
    ("path", "body"), [("/api/v1/admin/keys", b"{}"), ("/api/v1/admin/providers/lab/drain", b"{}")]
)
async def test_any_other_recorded_post_cannot_be_sent_again(
    client: Client, callers: Callers, path: str, body: bytes
) -> None:
    """Least of all one that answers with a new secret."""
    headers = signed("POST", path, callers.credentials(Who.ADMIN), body=body)

    assert (await client.post(path, content=body, headers=headers)).status_code in {200, 201}
    assert (await refusal(client, path, method="POST", content=body, headers=headers))[:2] == (401, "replayed_request")


async def test_a_signed_query_of_the_relay_may_come_again(client: Client, callers: Callers) -> None:
    """Two looks at a task within one second have the same signature."""
    body = b'{"req_key": "jimeng_t2i_v40", "task_id": "1"}'
    headers = signed("POST", "/v1/get-result", callers.credentials(Who.APP), body=body)
    answers = [await client.post("/v1/get-result", content=body, headers=headers) for _ in range(2)]

    assert answers[0].status_code == answers[1].status_code != 401


async def test_a_signed_cancel_may_come_again(client: Client, api: ApiFixture, callers: Callers) -> None:
    """A cancel may be repeated with the same signature; a retry may not."""
    task = await api.stored(a_task(owner=OWNER))
    for verb, statuses in (("cancel", [200, 200]), ("retry", [409, 401])):
        path = f"/api/v1/ai/task/{task.id}/{verb}"
        headers = signed("POST", path, callers.credentials(Who.APP))
        assert [(await client.post(path, headers=headers)).status_code for _ in range(2)] == statuses


async def test_the_time_of_a_signature_is_short(client: Client, callers: Callers) -> None:
    """The refusal says what time it is here, so that people find their wrong clock."""
    late = NOW - timedelta(minutes=6)
    headers = signed("GET", "/api/v1/ai/models", callers.credentials(Who.APP), at=late)
    status, code, message = await refusal(client, headers=headers)

    assert (status, code) == (401, "clock_skew")
    assert f"{NOW:%Y%m%dT%H%M%SZ} here, 360 s later" in message
    assert timedelta(minutes=10) < SPENT_FOR


async def test_an_unknown_access_key_looks_like_a_wrong_secret(client: Client, callers: Callers) -> None:
    """The response does not reveal which access keys exist."""
    known = callers.credentials(Who.APP)
    wrong = Credentials(access_key=known.access_key, secret_key=Secret("sk_wrong"))
    unknown = Credentials(access_key=Secret("ak_unknown"), secret_key=known.secret_key)
    reported = [
        await refusal(client, headers=signed("GET", "/api/v1/ai/models", credentials))
        for credentials in (wrong, unknown)
    ]

    assert reported[0] == reported[1]
    assert reported[0][:2] == (401, "invalid_signature")


@pytest.mark.parametrize(("field", "code"), [("expires_at", "key_expired"), ("revoked_at", "key_revoked")])
async def test_the_end_of_a_key_is_reported_to_who_has_its_secret(
    client: Client, api: ApiFixture, callers: Callers, field: str, code: str
) -> None:
    """By Bearer or by signature; to anybody else it looks as if the key had never been."""
    made = callers.keys[Who.APP]
    await changed(api, made.key, **{field: NOW})
    wrong = Credentials(access_key=Secret(made.key.access_key), secret_key=Secret("sk_wrong"))

    assert (await refusal(client, headers=callers.headers(Who.APP)))[:2] == (401, code)
    good = signed("GET", "/api/v1/ai/models", callers.credentials(Who.APP))
    assert (await refusal(client, headers=good))[:2] == (401, code)
    assert (await refusal(client, headers=signed("GET", "/api/v1/ai/models", wrong)))[1] == "invalid_signature"


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic YTpi", "sk_0", "Bearer é", "Bearer a b", "HMAC-SHA256", "AWS4-HMAC-SHA256 x"],
)
async def test_other_forms_of_authorization_are_refused(client: Client, authorization: str) -> None:
    """401 with the ways that there are."""
    response = await client.get("/api/v1/ai/models", headers=[(b"authorization", authorization.encode("latin-1"))])

    assert response.status_code == 401
    assert response.json()["error"]["code"] in {"unauthenticated", "invalid_signature"}
    assert response.headers["www-authenticate"].startswith("Bearer ")


async def test_two_authorization_headers_are_refused(client: Client, callers: Callers) -> None:
    """Two Authorization headers are refused."""
    good = callers.headers(Who.APP)["Authorization"]

    headers = [("Authorization", good), ("Authorization", good)]
    assert (await refusal(client, headers=headers))[:2] == (401, "unauthenticated")


async def test_a_changed_body_is_refused(client: Client, callers: Callers) -> None:
    """The signature is good, the body is another one: said in words, since the secret was proven."""
    headers = signed("POST", CREATE, callers.credentials(Who.APP), body=BODY)
    status, code, message = await refusal(client, CREATE, method="POST", content=BODY + b" ", headers=headers)

    assert (status, code) == (401, "invalid_signature")
    assert "the body is not the one" in message


async def test_a_refused_caller_is_counted_and_no_secret_is_reported(client: Client, callers: Callers) -> None:
    """By the code of the refusal, in the metrics; the answer does not repeat what was sent."""
    response = await client.get("/api/v1/ai/models", headers={"Authorization": "Bearer sk_of_somebody_else"})

    assert "sk_of_somebody_else" not in response.text
    reported = (await client.get("/metrics")).text
    assert 'polyrelay_callers_refused_total{code="unauthenticated"} 1.0' in reported
    assert "sk_of_somebody_else" not in reported


async def test_no_caller_is_authenticated_while_the_store_is_unavailable(
    client: Client, api: ApiFixture, callers: Callers
) -> None:
    """503, not 401: the key may be good."""
    api.keys.reachable = False

    assert (await refusal(client, headers=callers.headers(Who.APP)))[:2] == (503, "store_unavailable")


class TestLinks:
    """Links to files carry their own proof."""

    @pytest.fixture
    async def task(self, api: ApiFixture) -> Task:
        """A completed task with a picture."""
        task = a_task(owner=OWNER)
        name = f"{task.id}/1/0.png"
        await api.results.put(name, b"picture")
        result = Result(type=TaskType.IMAGE, file=name, media_type="image/png", size_bytes=7)
        done = a_task(id=task.id, owner=OWNER, state=State.COMPLETED, results=(result,), wake_at=None)
        return await api.stored(done)

    @pytest.fixture
    async def link(self, client: Client, callers: Callers, task: Task) -> str:
        """The link to it, as its app gets it."""
        answer = await client.get(f"/api/v1/ai/task/result/{task.id}", headers=callers.headers(Who.APP))
        url: str = answer.json()["data"]["image_url"]
        return url

    async def test_a_link_needs_no_key(self, client: Client, link: str) -> None:
        """A picture on a page cannot send one."""
        response = await client.get(link)

        assert (response.status_code, response.content) == (200, b"picture")

    async def test_the_same_link_is_given_for_an_hour(self, client: Client, link: str, callers: Callers) -> None:
        """A browser that has the image need not fetch it again."""
        listed = await client.get("/api/v1/ai/tasks", headers=callers.headers(Who.APP))

        assert listed.json()["data"]["tasks"][0]["image_url"] == link

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("files/0", "files/1"),
            ("expires=", "expires=9"),
            ("signature=", "signature=A"),
            ("signature=", "x="),
            ("", ""),
        ],
    )
    async def test_a_changed_link_is_refused(self, client: Client, link: str, old: str, new: str) -> None:
        """A link for another file or another time is refused."""
        changed_link = link.replace(old, new) if old else link.partition("?")[0]

        assert (await refusal(client, changed_link))[:2] == (401, "unauthenticated")

    async def test_a_link_opens_nothing_else(self, client: Client, link: str, task: Task) -> None:
        """On another path its query does not authenticate."""
        query = link.partition("?")[2]

        assert (await refusal(client, f"/api/v1/ai/task/result/{task.id}?{query}"))[0] == 401

    @pytest.mark.parametrize(("after", "status"), [(timedelta(hours=23), 200), (timedelta(hours=26), 401)])
    async def test_a_link_lives_for_a_day(self, api: ApiFixture, link: str, after: timedelta, status: int) -> None:
        """Later the task is read again, for a new one."""
        parts = structs.replace(api.adapters(), clock=lambda: NOW + after)
        async with AsyncTestClient(build_app(parts, ASKING)) as later:
            assert (await later.get(link)).status_code == status

    async def test_an_expired_link_with_a_key_is_as_good_as_the_key(
        self, client: Client, link: str, callers: Callers
    ) -> None:
        """Clients that send both need not care."""
        broken = link.replace("signature=", "signature=A")

        assert (await client.get(broken, headers=callers.headers(Who.APP))).status_code == 200
        assert (await client.get(broken, headers=callers.headers(Who.OTHER))).status_code == 404


async def test_a_new_encryption_key_leaves_links_and_signatures_good(api: ApiFixture) -> None:
    """As long as the old one stands behind it."""
    made = await api_keys_of(api).create(KeyOrder())
    new = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
    assert ASKING.api_key_encryption_key is not None
    both = Secret(f"{new},{ASKING.api_key_encryption_key.reveal()}")
    app = build_app(api.adapters(), structs.replace(ASKING, api_key_encryption_key=both))
    credentials = Credentials(access_key=Secret(made.key.access_key), secret_key=made.secret)

    async with AsyncTestClient(app) as client:
        response = await client.get("/api/v1/ai/models", headers=signed("GET", "/api/v1/ai/models", credentials))
    assert response.status_code == 200


async def test_a_key_whose_secret_cannot_be_decrypted_is_refused(api: ApiFixture) -> None:
    """Its encryption key is gone; its Bearer goes on working, since that is found by its hash."""
    made = await api_keys_of(api).create(KeyOrder())
    other = Secret("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
    credentials = Credentials(access_key=Secret(made.key.access_key), secret_key=made.secret)

    async with AsyncTestClient(
        build_app(api.adapters(), structs.replace(ASKING, api_key_encryption_key=other))
    ) as client:
        headers = signed("GET", "/api/v1/ai/models", credentials)
        assert (await refusal(client, headers=headers))[:2] == (401, "invalid_signature")
        bearer = {"Authorization": f"Bearer {made.secret.reveal()}"}
        assert (await client.get("/api/v1/ai/models", headers=bearer)).status_code == 200
