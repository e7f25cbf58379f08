"""Users over the API."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from tests.unit.api.api_fixture import GOOD

Client = AsyncTestClient[Litestar]
USERS = "/api/v1/users"
ADA = {"email": "Ada.Lovelace@example.com", "name": "Ada Lovelace"}


async def created(client: Client, **fields: Any) -> dict[str, Any]:
    """A new user."""
    response = await client.post(USERS, json={**ADA, **fields})
    assert response.status_code == 201, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def test_a_user_is_created_and_found(client: Client) -> None:
    """By id, and by the address in whatever case, as `data` itself."""
    response = await client.post(USERS, json=ADA)
    user = response.json()["data"]

    assert response.headers["location"] == f"{USERS}/{user['id']}"
    assert (user["email"], user["name"]) == (ADA["email"], ADA["name"])
    assert (await client.get(f"{USERS}/{user['id']}")).json()["data"] == user
    assert (await client.get(USERS, params={"email": "ada.lovelace@EXAMPLE.com"})).json()["data"] == user


async def test_an_address_belongs_to_one_user(client: Client) -> None:
    """Creating and changing report `email_taken`."""
    await created(client)
    grace = await created(client, email="grace@example.com")
    taken = {"email": "ada.lovelace@example.com"}

    for response in (
        await client.post(USERS, json={**ADA, **taken}),
        await client.put(f"{USERS}/{grace['id']}", json=taken),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (409, "email_taken")


async def test_what_is_not_given_stays(client: Client) -> None:
    """A change names what it changes."""
    user = await created(client)
    changed = (await client.put(f"{USERS}/{user['id']}", json={"name": "Ada King"})).json()["data"]

    assert (changed["name"], changed["email"]) == ("Ada King", ADA["email"])
    assert (await client.put(f"{USERS}/{user['id']}", json={})).json()["data"] == changed


async def test_a_deleted_user_is_gone(client: Client) -> None:
    """The tasks that name it stay."""
    user = await created(client)
    task = (await client.post("/api/v1/ai/image/task", json={**GOOD, "user_id": user["id"]})).json()["data"]
    removed = await client.delete(f"{USERS}/{user['id']}")

    assert (removed.status_code, removed.json()["data"]) == (200, user)
    for response in (
        await client.get(f"{USERS}/{user['id']}"),
        await client.delete(f"{USERS}/{user['id']}"),
        await client.put(f"{USERS}/{user['id']}", json={}),
        await client.get(USERS, params={"email": ADA["email"]}),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (404, "user_not_found")
    assert (await client.get(f"/api/v1/ai/task/result/{task['task_id']}")).json()["data"]["user_id"] == user["id"]


async def test_users_are_listed_a_page_at_a_time(client: Client) -> None:
    """With how many there are."""
    for number in range(3):
        await created(client, email=f"user{number}@example.com")
    page = (await client.get(USERS, params={"limit": 2, "offset": 1})).json()["data"]
    first = (await client.get(USERS)).json()["data"]

    assert (len(page["users"]), page["total"], page["limit"], page["offset"]) == (2, 3, 2, 1)
    assert (len(first["users"]), first["limit"], first["offset"]) == (3, 20, 0)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["email", "name"]),
        ({**ADA, "email": "nobody"}, ["email"]),
        ({**ADA, "email": "a@b"}, ["email"]),
        ({**ADA, "email": "a b@example.com"}, ["email"]),
        ({**ADA, "email": "a@example.com\n"}, ["email"]),
        ({**ADA, "email": f"{'a' * 89}@example.com"}, ["email"]),
        ({**ADA, "name": "A"}, ["name"]),
        ({**ADA, "name": " Ada"}, ["name"]),
        ({**ADA, "name": "A" * 51}, ["name"]),
        ({**ADA, "name": "A\nda"}, ["name"]),
        ({"email": 1, "name": 2}, ["email", "name"]),
        ({**ADA, "nmae": "x"}, ["nmae"]),
    ],
)
async def test_every_wrong_field_is_named(client: Client, body: dict[str, Any], fields: list[str]) -> None:
    """With what is allowed."""
    response = await client.post(USERS, json=body)

    assert response.status_code == 422
    assert sorted(problem["field"] for problem in response.json()["error"]["details"]) == fields


@pytest.mark.parametrize("name", ["陈", "陈静", "A" * 50])
async def test_a_name_has_2_to_50_characters(client: Client, name: str) -> None:
    """Of any script."""
    response = await client.post(USERS, json={**ADA, "name": name})

    assert response.status_code == (422 if len(name) < 2 else 201)


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"offset": -1}, {"email": "a@b.de", "limit": 1}])
async def test_a_wrong_query_is_refused(client: Client, query: dict[str, Any]) -> None:
    """An address finds one user, so it goes without a page."""
    assert (await client.get(USERS, params=query)).status_code == 422
