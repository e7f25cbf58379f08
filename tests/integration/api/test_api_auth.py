"""A server that asks who calls, as a process: its start, and real clients of Volcengine and AWS."""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as AwsCredentials
from volcengine.auth.SignerV4 import SignerV4
from volcengine.base.Request import Request
from volcengine.Credentials import Credentials as OfficialCredentials

from core.callers import Role
from core.clock import utc_now
from core.keys import ApiKey
from core.vault import vault_of
from polyrelay import Secret
from polyrelay.client import AsyncClient
from repositories.mongodb.client import connect_mongo
from repositories.mongodb.keys import MongoKeys
from services.access.api_keys import ApiKeys, KeyOrder, NewKey
from tests.integration.api.conftest import ROOT, Serve, Start

ENCRYPTION_KEY: Final = base64.b64encode(bytes(range(32))).decode()
TEXT: Final = {"provider": "volcengine", "model": "doubao-pro-4k", "user_id": "ada", "prompt": "一首俳句"}
CREATE: Final = "/api/v1/ai/text/task"
ODD: Final = "/api/v1/users/a%20b%2Fc%E7%8C%AB"
"""A path that clients encode in more than one way."""


@pytest.fixture
async def api_keys(mongo_database_url: str) -> AsyncIterator[ApiKeys]:
    """Makes keys beside the server, as the command does."""
    database = connect_mongo(mongo_database_url)
    keys = MongoKeys(database)
    await keys.prepare()
    yield ApiKeys(keys, vault_of(Secret(ENCRYPTION_KEY)), utc_now)
    database.client.close()


@pytest.fixture
def asking(mongo_database_url: str, redis_url: str) -> dict[str, str]:
    """Settings of a server that asks who calls, and that others could reach."""
    return {
        "AUTH": "required",
        "API_KEY_ENCRYPTION_KEY": ENCRYPTION_KEY,
        "HOST": "0.0.0.0",
        "MONGO_URL": mongo_database_url,
        "REDIS_URL": redis_url,
    }


async def test_without_any_key_a_server_for_others_does_not_start(start: Start, asking: dict[str, str]) -> None:
    """The sentence says how to make one; once there is one, it starts."""
    async with start(**asking, LOG_FORMAT="json") as (process, _):
        output = (await process.communicate())[0].decode()

    assert "polyrelay keys create --role admin" in output
    assert "Traceback" not in output


async def test_each_form_of_authentication_works(serve: Serve, asking: dict[str, str], api_keys: ApiKeys) -> None:
    """A Bearer secret, Volcengine's own signer, and AWS's; to read and to create, at odd paths, too."""
    made = await api_keys.create(KeyOrder(role=Role.OPERATOR))
    async with serve(**asking) as client:
        assert (await client.get("/api/v1/ai/tasks")).status_code == 401
        for number, headers_of in enumerate(WAYS):
            body = json.dumps({**TEXT, "user_id": f"user-{number}"}, ensure_ascii=False).encode()
            answers = {
                target: await client.request(method, target, content=content, headers=headers)
                for method, target, content in (
                    ("POST", CREATE, body),
                    ("GET", "/api/v1/ai/tasks?user_id=a+b%20c&limit=3", b""),
                    ("GET", ODD, b""),
                )
                for headers in [headers_of(client, made, method, target, content)]
            }
            assert [answer.status_code for answer in answers.values()] == [201, 200, 404], answers


async def test_a_revoked_key_is_refused_by_a_running_server(
    serve: Serve, asking: dict[str, str], api_keys: ApiKeys
) -> None:
    """A caller with the secret gets `key_revoked` within 2 s."""
    made = await api_keys.create(KeyOrder())
    headers = {"Authorization": f"Bearer {made.secret.reveal()}"}
    async with serve(**asking) as client:
        assert (await client.get("/api/v1/ai/models", headers=headers)).status_code == 200
        revoked: ApiKey = await api_keys.revoke(made.key.id)
        response = await _refused(client, headers)

    assert response.json()["error"]["code"] == "key_revoked"
    assert revoked.revoked_at is not None


async def test_a_large_body_of_an_unauthenticated_caller_is_responded_to(serve: Serve, asking: dict[str, str]) -> None:
    """With a 401, although the body is not read into memory."""
    made = asking | {"HOST": "127.0.0.1"}
    async with serve(**made) as client:
        response = await client.post(CREATE, content=b"x" * (8 * 2**20), headers={"Authorization": "Bearer sk_no"})

    assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthenticated")


async def test_the_python_client_sends_its_key(serve: Serve, asking: dict[str, str], api_keys: ApiKeys) -> None:
    """As `api_key`."""
    made = await api_keys.create(KeyOrder())
    async with serve(**asking) as client, AsyncClient(str(client.base_url), made.secret.reveal()) as relay:
        created = await relay.create("text", **TEXT)
        assert (await relay.get(created.task_id)).status == "pending"


@pytest.mark.parametrize(
    ("settings", "reported"),
    [
        ({"AUTH": "none", "HOST": "0.0.0.0"}, "AUTH=none is for loopback only, and HOST=0.0.0.0"),
        ({}, "API_KEY_ENCRYPTION_KEY is not set"),
        ({"API_KEY_ENCRYPTION_KEY": "short-secret"}, "API_KEY_ENCRYPTION_KEY=***"),
    ],
)
def test_the_command_refuses_to_open_a_server(tmp_path: Path, settings: Mapping[str, str], reported: str) -> None:
    """Exit code 2 and one sentence, before anything is started."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli", "api"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 2
    assert reported in done.stderr
    assert "short-secret" not in done.stderr
    assert "Traceback" not in done.stderr


async def _refused(client: httpx.AsyncClient, headers: Mapping[str, str]) -> httpx.Response:
    async with asyncio.timeout(10):
        while True:
            response = await client.get("/api/v1/ai/models", headers=headers)
            if response.status_code != 200:
                return response
            await asyncio.sleep(0.05)


def bearer(_: httpx.AsyncClient, made: NewKey, *__: Any) -> dict[str, str]:
    """The secret itself."""
    return {"Authorization": f"Bearer {made.secret.reveal()}"}


def volcengine(client: httpx.AsyncClient, made: NewKey, method: str, target: str, body: bytes) -> dict[str, str]:
    """Signed by the vendor's Python client."""
    parts = urlsplit(target)
    request = Request()
    request.set_shema("http")
    request.set_method(method)
    request.set_host(client.base_url.netloc.decode())
    request.set_path(httpx.URL(target).path)
    request.set_query(dict(httpx.URL(target).params.items()) if parts.query else {})
    request.set_headers({"Host": client.base_url.netloc.decode(), "Content-Type": "application/json"})
    request.set_body(body.decode())
    SignerV4.sign(request, OfficialCredentials(made.key.access_key, made.secret.reveal(), "cv", "cn-north-1"))
    return {name: str(value) for name, value in request.headers.items()}


def aws(client: httpx.AsyncClient, made: NewKey, method: str, target: str, body: bytes) -> dict[str, str]:
    """Signed by AWS's Python client."""
    url = f"{str(client.base_url).rstrip('/')}{target}"
    request = AWSRequest(method, url, {"Content-Type": "application/json"}, body)
    SigV4Auth(AwsCredentials(made.key.access_key, made.secret.reveal()), "polyrelay", "eu-1").add_auth(request)
    return dict(request.headers.items())


WAYS: Final[tuple[Callable[..., dict[str, str]], ...]] = (bearer, volcengine, aws)
