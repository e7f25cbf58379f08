"""Keys over the API."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.access.key_view import KeyView
from tests.unit.api.api_fixture import ApiFixture
from tests.unit.api.callers import Callers, Client, Who, asking, callers_of

KEYS = "/api/v1/admin/keys"


@pytest.fixture
async def admin(api: ApiFixture) -> AsyncIterator[Client]:
    """An admin, at a server that asks who calls."""
    callers: Callers = await callers_of(api)
    async with asking(api) as client:
        client.headers.update(callers.headers(Who.ADMIN))
        yield client


async def made(admin: Client, **fields: Any) -> dict[str, Any]:
    """A new key."""
    response = await admin.post(KEYS, json=fields)
    assert response.status_code == 201, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def test_a_created_key_authenticates(admin: Client) -> None:
    """Its secret is in this response only, which must not be cached."""
    response = await admin.post(KEYS, json={"role": "operator", "max_queue": 3, "description": "shop"})

    data = response.json()["data"]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["location"] == f"{KEYS}/{data['key']['id']}"
    assert (data["key"]["role"], data["key"]["max_queue"], data["key"]["state"]) == ("operator", 3, "active")
    bearer = {"Authorization": f"Bearer {data['secret']}"}
    assert (await admin.get("/api/v1/users", headers=bearer)).status_code == 200
    assert (await admin.get(KEYS, headers=bearer)).status_code == 403


async def test_a_key_is_read_without_its_secret(admin: Client) -> None:
    """By id or access key, alone or in a list."""
    key = (await made(admin, owner="team-9"))["key"]
    paths = (f"{KEYS}/{key['id']}", f"{KEYS}/{key['access_key']}", f"{KEYS}?owner=team-9&limit=1")
    by_id, by_access_key, listed = [(await admin.get(path)).json()["data"] for path in paths]

    assert set(key) == set(KeyView.__struct_fields__)
    assert by_id == by_access_key == key
    assert listed == {"keys": [key], "total": 1, "limit": 1, "offset": 0}


async def test_a_revoked_key_stays_stored(admin: Client) -> None:
    """Twice is the same as once."""
    key = (await made(admin))["key"]
    answers = [(await admin.post(f"{KEYS}/{key['id']}/revoke")).json()["data"] for _ in range(2)]

    assert answers[0] == answers[1]
    assert answers[0]["state"] == "revoked"


@pytest.mark.parametrize(("body", "state"), [(None, "revoked"), ({"grace_period_s": 60}, "active")])
async def test_a_key_is_rotated(admin: Client, body: Any, state: str) -> None:
    """The answer has the new one, with its secret, and what became of the old one."""
    old = await made(admin, owner="shop")
    response = await admin.post(f"{KEYS}/{old['key']['id']}/rotate", json=body)

    data = response.json()["data"]
    assert response.status_code == 201
    assert data["secret"] != old["secret"]
    assert (data["key"]["owner"], data["key"]["rotated_from"]) == ("shop", old["key"]["id"])
    assert (data["old"]["state"], data["old"]["rotated_to"]) == (state, data["key"]["id"])
    again = await admin.post(f"{KEYS}/{old['key']['id']}/rotate", json=body)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_possible")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "root"}, "role"),
        ({"owner": "a b"}, "owner"),
        ({"owner": "a\n"}, "owner"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"requests_per_minute": "many"}, "requests_per_minute"),
        ({"description": "x" * 201}, "description"),
        ({"secret": "sk_mine"}, "secret"),
    ],
)
async def test_a_wrong_field_is_named(admin: Client, body: dict[str, Any], field: str) -> None:
    """With what is allowed."""
    response = await admin.post(KEYS, json=body)

    assert response.status_code == 422
    assert [problem["field"] for problem in response.json()["error"]["details"]] == [field]


@pytest.mark.parametrize("path", [f"{KEYS}/key_0", f"{KEYS}/ak_0"])
async def test_a_key_that_is_not_there_is_reported(admin: Client, path: str) -> None:
    """Reading, revoking, rotating."""
    answers = [await admin.get(path), await admin.post(f"{path}/revoke"), await admin.post(f"{path}/rotate")]

    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [(404, "key_not_found")] * 3


async def test_the_audit_log_has_the_id_and_not_the_secret(admin: Client) -> None:
    """The audit log has who created which key."""
    data = await made(admin, description="shop")
    text = (await admin.get("/api/v1/audit", params={"action": "key.create"})).text

    assert data["key"]["id"] in text
    assert data["secret"] not in text
