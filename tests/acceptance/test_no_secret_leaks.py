"""
Secrets in the output: after requests and faults that contain secrets, no secret is in logs, audit rows, error
responses, metrics, or collections of the database.
"""

import asyncio
import base64
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct
from pymongo import MongoClient

from cli.embedded.ports import free_port
from cli.embedded.stack import Stack
from core.callers import Role
from core.clock import utc_now
from core.vault import vault_of
from polyrelay import Secret
from repositories.mongodb.audit import AUDIT_COLLECTION
from repositories.mongodb.client import connect_mongo
from repositories.mongodb.keys import MongoKeys
from services.access.api_keys import ApiKeys, KeyOrder, NewKey
from simulator.faults import Error, FailGeneration
from simulator.process import ControlClient
from tests.acceptance.conftest import FAST
from tests.acceptance.relay_clients import error_of, visual_service
from tests.faults.waiting import wait_until

CALLER_CONTENT = frozenset({"tasks", "inputs.files", "inputs.chunks"})
"""Collections that store the caller's content unchanged; they are not searched."""
VENDOR_KEYS = {
    "VOLCENGINE_ACCESS_KEY": f"AKLT{secrets.token_hex(16)}",
    "VOLCENGINE_SECRET_KEY": base64.b64encode(secrets.token_bytes(40)).decode(),
    "ARK_API_KEY": "7d1f2c9e-1111-4222-8333-9f0a1b2c3d4e",
    "OPENAI_API_KEY": f"sk-proj-{secrets.token_urlsafe(32)}",
}
SIMULATED = {
    "access-key": "VOLCENGINE_ACCESS_KEY",
    "secret-key": "VOLCENGINE_SECRET_KEY",
    "ark-key": "ARK_API_KEY",
    "openai-key": "OPENAI_API_KEY",
}
ENCRYPTION_KEY = base64.b64encode(secrets.token_bytes(32)).decode()
IMAGE = {"provider": "openai", "model": "dall-e-3", "user_id": "ada"}
PICTURE = base64.b64encode(secrets.token_bytes(3000)).decode()


class IssuedKeys(Struct, frozen=True, kw_only=True):
    """API keys that the tests use."""

    admin: NewKey
    app: NewKey
    revoked: NewKey


class LeakSearch:
    """
    Collects used secrets and all outputs in which they must not be.

    Attributes:
        used: The secrets, by description.
        answers: Bodies and headers of error responses.
    """

    def __init__(self, stack: Stack, worker_port: int) -> None:
        self.stack = stack
        self.used: dict[str, str] = {}
        self.answers: list[str] = []
        self._worker_port = worker_port

    def caller(self, secret: str | None) -> httpx.Client:
        """A client of the API with that key; its error responses are added to `answers`."""

        def keep(answer: httpx.Response) -> None:
            if answer.status_code >= 400:
                self.answers.append(answer.read().decode(errors="replace") + repr(answer.headers.raw))

        headers = {"Authorization": f"Bearer {secret}"} if secret is not None else {}
        return httpx.Client(
            base_url=self.stack.api_url,
            headers=headers,
            event_hooks={"response": [keep]},
            trust_env=False,
            timeout=30,
        )

    def places(self, admin: NewKey) -> Iterator[tuple[str, str]]:
        """Every searched output, as name and text."""
        for log in sorted(self.stack.folder.rglob("*.log*")):
            if log.parent.name in {"logs", "own-logs"} and not log.name.startswith("simulator"):
                yield f"log {log.parent.name}/{log.name}", log.read_text("utf-8", "replace")
        yield "error answers", "\n".join(self.answers)
        with self.caller(admin.secret.reveal()) as caller:
            yield "metrics of the API", caller.get("/metrics").text
            yield "list of the audit log", caller.get("/api/v1/audit", params={"limit": 500}).text
        yield "metrics of the worker", httpx.get(f"http://127.0.0.1:{self._worker_port}/metrics", trust_env=False).text
        with MongoClient[dict[str, Any]](self.stack.mongo_url) as mongo:
            database = mongo.get_default_database()
            for name in sorted(set(database.list_collection_names()) - CALLER_CONTENT):
                yield f"collection {name}", repr(list(database[name].find()))


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LeakSearch]:
    """A stack with vendor keys of its own, authentication, and logs at debug level."""
    folder, port = tmp_path_factory.mktemp("search"), free_port()
    env = {
        **VENDOR_KEYS,
        "AUTH": "required",
        "API_KEY_ENCRYPTION_KEY": ENCRYPTION_KEY,
        "POLL_SCALE": "0.05",
        "LOG_LEVEL": "debug",
        "LOG_DIR": str(folder / "own-logs"),
        "WORKER_PORT": str(port),
    }
    args = [f"--{option}={VENDOR_KEYS[name]}" for option, name in SIMULATED.items()]
    stack = Stack(folder, env=env, simulator_args=(*FAST, *args))
    asyncio.run(stack.start())
    found = LeakSearch(stack, port)
    found.used |= {**VENDOR_KEYS, "API_KEY_ENCRYPTION_KEY": ENCRYPTION_KEY, "a picture": PICTURE}
    try:
        yield found
    finally:
        asyncio.run(stack.stop())


@pytest.fixture(scope="module")
def issued(search: LeakSearch) -> IssuedKeys:
    """Keys of an admin and an app, and a revoked key; all are added to `used`."""
    issued = asyncio.run(_issued_keys(search.stack.mongo_url))
    search.used |= {f"key of {name}": getattr(issued, name).secret.reveal() for name in IssuedKeys.__struct_fields__}
    return issued


async def _issued_keys(mongo_url: str) -> IssuedKeys:
    database = connect_mongo(mongo_url)
    api_keys = ApiKeys(MongoKeys(database), vault_of(Secret(ENCRYPTION_KEY)), utc_now)
    made = IssuedKeys(
        admin=await api_keys.create(KeyOrder(role=Role.ADMIN)),
        app=await api_keys.create(KeyOrder(owner="ada")),
        revoked=await api_keys.create(KeyOrder(owner="bob")),
    )
    await api_keys.revoke(made.revoked.key.id)
    database.client.close()
    return made


def test_no_secret_is_in_any_output(search: LeakSearch, issued: IssuedKeys) -> None:
    """Requests with secrets in headers, paths and bodies, and vendors that repeat keys: no output has one."""
    _authenticate_in_all_ways(search, issued)
    _send_signed_calls(search, issued)
    _send_secrets_in_bodies(search, issued)
    _let_vendors_repeat_keys(search, issued)
    _call_admin_routes(search, issued)
    _wait_for_audit_outcomes(search)

    places = dict(search.places(issued.admin))
    assert {"log logs/api.log", "log own-logs/api.log", "log own-logs/worker.log"} <= set(places)
    assert all(len(places[name]) > 500 for name in places if name.startswith(("log own", "error", "list")))
    assert len(search.answers) > 20
    leaks = [
        f"{what} in {place}: …{text.partition(secret)[0][-100:]}"
        for what, secret in search.used.items()
        for place, text in places.items()
        if secret in text
    ]
    assert not leaks, "\n".join(leaks)


def _authenticate_in_all_ways(search: LeakSearch, issued: IssuedKeys) -> None:
    wrong = f"sk_{secrets.token_hex(20)}"
    search.used["a wrong secret"] = wrong
    for secret in (
        None,
        wrong,
        issued.revoked.secret.reveal(),
        issued.app.secret.reveal(),
        issued.admin.secret.reveal(),
    ):
        with search.caller(secret) as caller:
            caller.post("/api/v1/ai/image/task", json={**IMAGE, "prompt": "a fox"})
            caller.get("/api/v1/audit")
            caller.get("/api/v1/ai/tasks", params={"token": secret or "x"})
            caller.post("/api/v1/admin/providers/openai/enable")
            caller.get(f"/nowhere/{secret}")
    with search.caller(None) as caller:
        for header in (
            f"Basic {wrong}",
            wrong,
            f"HMAC-SHA256 Credential={wrong}, Signature={wrong}",
            f"Bearer  {wrong} x",
        ):
            caller.get("/api/v1/ai/tasks", headers={"Authorization": header})


def _send_signed_calls(search: LeakSearch, issued: IssuedKeys) -> None:
    """With the official client: a valid call, one with a wrong secret, and the signature of the valid one again."""
    app = (issued.app.key.access_key, issued.app.secret.reveal())
    valid = visual_service(search.stack.api_url, app)
    sent: list[str] = []
    send = valid.session.send

    def recorded(request: Any, **options: Any) -> Any:
        sent.append(request.headers["Authorization"])
        return send(request, **options)

    valid.session.send = recorded
    form = {"req_key": "jimeng_t2i_v40", "prompt": "signed", "binary_data_base64": [PICTURE]}
    valid.cv_sync2async_submit_task({"req_key": "jimeng_t2i_v40", "prompt": "signed"})
    search.answers.append(repr(error_of(valid.cv_sync2async_submit_task, {**form, "req_key": ""})))
    search.used["a wrong signing secret"] = secrets.token_hex(24)
    invalid = visual_service(search.stack.api_url, (app[0], search.used["a wrong signing secret"]))
    search.answers.append(repr(error_of(invalid.cv_sync2async_submit_task, form)))
    for number, header in enumerate(sent):
        search.used[f"signature {number}"] = re.search(r"Signature=(\w+)", header)[1]  # type: ignore[index]
        with search.caller(None) as caller:
            caller.post("/?Action=CVProcess&Version=2022-08-31", headers={"Authorization": header}, json=form)


def _send_secrets_in_bodies(search: LeakSearch, issued: IssuedKeys) -> None:
    own = issued.app.secret.reveal()
    search.used |= {"a token": f"tok{secrets.token_hex(16)}", "a signed link": secrets.token_hex(20)}
    token, link = search.used["a token"], f"https://host.example/x.png?X-Tos-Signature={search.used['a signed link']}"
    bodies: list[dict[str, Any]] = [
        {"prompt": f"my key is {own}, and {VENDOR_KEYS['OPENAI_API_KEY']}, password={token}"},
        {"prompt": "a fox", "metadata": {"api_key": token, "note": f"Bearer {own}"}},
        {"prompt": "a fox", "api_key": token, "secret": own, "link": link},
        {"prompt": {"token": token}, "size": own},
        {"prompt": "a fox", "fallbacks": [{"provider": "openai", "model": own, "params": {"token": token}}]},
        {"prompt": "a fox", "image": f"data:image/png;base64,{PICTURE}", "n": PICTURE},
        {"prompt": "a fox", own: own, "user_id": [own]},
        {"prompt": f"a fox like {link}"},
    ]
    with search.caller(own) as caller:
        for body in bodies:
            caller.post("/api/v1/ai/image/task", json={**IMAGE, **body})
        seedream = {"provider": "volcengine", "model": "doubao-seedream-4-0-250828", "user_id": "ada"}
        images = [f"data:image/png;base64,{PICTURE}"]
        caller.post("/api/v1/ai/image/task", json={**seedream, "prompt": "a fox", "image_urls": images})
        caller.post("/api/v1/ai/image/task", content=f'{{"secret": "{token}", ')
        caller.post("/api/v1/ai/image/task", content=json.dumps([own, {"token": token}]))
        caller.post(
            "/v1/submit", json={"req_key": "jimeng_t2i_v40", own: own, "prompt": {"secret": own, "token": token}}
        )
        caller.get(f"/api/v1/ai/task/result/{own}")
        caller.post(f"/api/v1/ai/task/{own}/cancel")
        caller.get("/api/v1/ai/tasks", params={"user_id": own, "status": own, "token": token})


def _let_vendors_repeat_keys(search: LeakSearch, issued: IssuedKeys) -> None:
    """Errors of submits and of generations whose messages contain the server's vendor keys."""
    openai, ark = VENDOR_KEYS["OPENAI_API_KEY"], VENDOR_KEYS["ARK_API_KEY"]
    volcengine = f"{VENDOR_KEYS['VOLCENGINE_ACCESS_KEY']} and {VENDOR_KEYS['VOLCENGINE_SECRET_KEY']}"
    kinds = {
        "openai.images": ("image", "openai", "dall-e-3", openai),
        "openai.chat": ("text", "openai", "gpt-4", openai),
        "openai.videos": ("video", "openai", "sora", openai),
        "ark.images": ("image", "volcengine", "doubao-seedream-4-0-250828", ark),
        "visual.*": ("image", "volcengine", "jimeng_t2i_v40", volcengine),
    }
    control = ControlClient(search.stack.simulator_url or "")
    with search.caller(issued.app.secret.reveal()) as caller:
        ids = []
        for kind, (task_type, provider, model, keys) in kinds.items():
            codes: tuple[int | str, int | str] = (50400, 50511) if kind == "visual.*" else ("Broken", "Broken")
            message = f"refused: {keys} is not enough"
            for fault in (
                Error(code=codes[0], status=400, message=message),
                FailGeneration(code=codes[1], message=message),
            ):
                prompt = f"repeats {kind} {type(fault).__name__}"
                control.add_fault(kind, fault, prompt=prompt)
                body = {"provider": provider, "model": model, "user_id": "ada", "prompt": prompt}
                answer = caller.post(f"/api/v1/ai/{task_type}/task", json=body)
                ids += [answer.json()["data"]["task_id"]] if answer.status_code == 201 else []
        assert len(ids) == 2 * len(kinds), search.answers[-1]
        results = [_ended(caller, task_id) for task_id in ids]
        assert sum(result["status"] == "failed" for result in results) >= len(kinds)
        search.answers += [json.dumps(result["error"]) for result in results]
        for task_id in ids[:3]:
            caller.post(f"/api/v1/ai/task/{task_id}/retry")
            caller.delete(f"/api/v1/ai/task/{task_id}")
    control.close()


def _ended(caller: httpx.Client, task_id: str) -> dict[str, Any]:
    def final() -> dict[str, Any]:
        task: dict[str, Any] = caller.get(f"/api/v1/ai/task/result/{task_id}").json()["data"]
        return task if task["status"] in {"completed", "failed", "cancelled"} else {}

    return wait_until(final, description=f"{task_id} ended", within_s=60)


def _call_admin_routes(search: LeakSearch, issued: IssuedKeys) -> None:
    with search.caller(issued.admin.secret.reveal()) as caller:
        caller.post(
            "/api/v1/admin/providers/openai/drain", json={"reason": "a test", "api_key": search.used["a token"]}
        )
        caller.post("/api/v1/admin/providers/openai/enable", json={"reason": "a test"})
        caller.post("/api/v1/admin/providers/reload", json={"plugin": "openai"})


def _wait_for_audit_outcomes(search: LeakSearch) -> None:
    """Outcomes of audit rows are written later: wait until every row has one."""
    with MongoClient[dict[str, Any]](search.stack.mongo_url) as mongo:
        rows = mongo.get_default_database()[AUDIT_COLLECTION]
        wait_until(lambda: rows.count_documents({"outcome": "begun"}) == 0, description="every row has an outcome")
        actions = set(rows.distinct("action"))
    assert {"task.create", "upstream.submit", "upstream.poll", "task.retry", "provider.enable"} <= actions
    assert Path(search.stack.folder / "own-logs").is_dir()
