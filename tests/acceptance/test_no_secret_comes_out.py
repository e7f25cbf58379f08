"""
All kinds of things are done with all kinds of secrets; then logs, audit rows, error answers, metrics and the database's
own collections are searched for each of them.
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
from repositories.mongodb.audit_documents import AUDIT_COLLECTION
from repositories.mongodb.client import connect_mongo
from repositories.mongodb.keys import MongoKeys
from services.access.api_keys import ApiKeys, KeyOrder, NewKey
from simulator.faults import Error, FailGeneration
from simulator.process import ControlClient
from tests.acceptance.conftest import FAST
from tests.acceptance.relay_clients import error_of, visual_service
from tests.faults.waiting import wait_until

FREE = frozenset({"tasks", "inputs.files", "inputs.chunks"})
"""Collections in which a caller's own words are kept as they came."""
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


class Ring(Struct, frozen=True, kw_only=True):
    """Keys of ours."""

    admin: NewKey
    app: NewKey
    revoked: NewKey


class Hunt:
    """
    What was used, and what came out.

    Attributes:
        used: Secrets by what they are.
        answers: Bodies of answers that say what went wrong.
    """

    def __init__(self, stack: Stack, worker_port: int) -> None:
        self.stack = stack
        self.used: dict[str, str] = {}
        self.answers: list[str] = []
        self._worker_port = worker_port

    def caller(self, secret: str | None) -> httpx.Client:
        """A client whose refusals are kept."""

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
        """Everything that is searched, as name and text."""
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
            for name in sorted(set(database.list_collection_names()) - FREE):
                yield f"collection {name}", repr(list(database[name].find()))


@pytest.fixture(scope="module")
def hunt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hunt]:
    """Everything running with keys of its own, and with logs that say the most."""
    folder, port = tmp_path_factory.mktemp("hunt"), free_port()
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
    found = Hunt(stack, port)
    found.used |= {**VENDOR_KEYS, "API_KEY_ENCRYPTION_KEY": ENCRYPTION_KEY, "a picture": PICTURE}
    try:
        yield found
    finally:
        asyncio.run(stack.stop())


@pytest.fixture(scope="module")
def ring(hunt: Hunt) -> Ring:
    """An admin, an app, and one that is good no more."""
    ring = asyncio.run(_ring(hunt.stack.mongo_url))
    hunt.used |= {f"key of {name}": getattr(ring, name).secret.reveal() for name in Ring.__struct_fields__}
    return ring


async def _ring(mongo_url: str) -> Ring:
    database = connect_mongo(mongo_url)
    api_keys = ApiKeys(MongoKeys(database), vault_of(Secret(ENCRYPTION_KEY)), utc_now)
    made = Ring(
        admin=await api_keys.create(KeyOrder(role=Role.ADMIN)),
        app=await api_keys.create(KeyOrder(owner="ada")),
        revoked=await api_keys.create(KeyOrder(owner="bob")),
    )
    await api_keys.revoke(made.revoked.key.id)
    database.client.close()
    return made


def test_no_secret_comes_out(hunt: Hunt, ring: Ring) -> None:
    """Good, bad and odd requests with keys, signatures and bodies full of secrets, and vendors that repeat keys."""
    _callers_of_all_kinds(hunt, ring)
    _signed_calls(hunt, ring)
    _secrets_in_bodies(hunt, ring)
    _vendors_that_repeat_keys(hunt, ring)
    _operators(hunt, ring)
    _until_all_is_written(hunt)

    places = dict(hunt.places(ring.admin))
    assert {"log logs/api.log", "log own-logs/api.log", "log own-logs/worker.log"} <= set(places)
    assert all(len(places[name]) > 500 for name in places if name.startswith(("log own", "error", "list")))
    assert len(hunt.answers) > 20
    leaks = [
        f"{what} in {place}: …{text.partition(secret)[0][-100:]}"
        for what, secret in hunt.used.items()
        for place, text in places.items()
        if secret in text
    ]
    assert not leaks, "\n".join(leaks)


def _callers_of_all_kinds(hunt: Hunt, ring: Ring) -> None:
    wrong = f"sk_{secrets.token_hex(20)}"
    hunt.used["a wrong secret"] = wrong
    for secret in (None, wrong, ring.revoked.secret.reveal(), ring.app.secret.reveal(), ring.admin.secret.reveal()):
        with hunt.caller(secret) as caller:
            caller.post("/api/v1/ai/image/task", json={**IMAGE, "prompt": "a fox"})
            caller.get("/api/v1/audit")
            caller.get("/api/v1/ai/tasks", params={"token": secret or "x"})
            caller.post("/api/v1/admin/providers/openai/enable")
            caller.get(f"/nowhere/{secret}")
    with hunt.caller(None) as caller:
        for header in (
            f"Basic {wrong}",
            wrong,
            f"HMAC-SHA256 Credential={wrong}, Signature={wrong}",
            f"Bearer  {wrong} x",
        ):
            caller.get("/api/v1/ai/tasks", headers={"Authorization": header})


def _signed_calls(hunt: Hunt, ring: Ring) -> None:
    """Of the official client: one that is good, one with a wrong secret, and the good one's signature once more."""
    app = (ring.app.key.access_key, ring.app.secret.reveal())
    good = visual_service(hunt.stack.api_url, app)
    sent: list[str] = []
    send = good.session.send

    def recorded(request: Any, **options: Any) -> Any:
        sent.append(request.headers["Authorization"])
        return send(request, **options)

    good.session.send = recorded
    form = {"req_key": "jimeng_t2i_v40", "prompt": "signed", "binary_data_base64": [PICTURE]}
    good.cv_sync2async_submit_task({"req_key": "jimeng_t2i_v40", "prompt": "signed"})
    hunt.answers.append(repr(error_of(good.cv_sync2async_submit_task, {**form, "req_key": ""})))
    hunt.used["a wrong signing secret"] = secrets.token_hex(24)
    bad = visual_service(hunt.stack.api_url, (app[0], hunt.used["a wrong signing secret"]))
    hunt.answers.append(repr(error_of(bad.cv_sync2async_submit_task, form)))
    for number, header in enumerate(sent):
        hunt.used[f"signature {number}"] = re.search(r"Signature=(\w+)", header)[1]  # type: ignore[index]
        with hunt.caller(None) as caller:
            caller.post("/?Action=CVProcess&Version=2022-08-31", headers={"Authorization": header}, json=form)


def _secrets_in_bodies(hunt: Hunt, ring: Ring) -> None:
    own = ring.app.secret.reveal()
    hunt.used |= {"a token": f"tok{secrets.token_hex(16)}", "a signed link": secrets.token_hex(20)}
    token, link = hunt.used["a token"], f"https://host.example/x.png?X-Tos-Signature={hunt.used['a signed link']}"
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
    with hunt.caller(own) as caller:
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


def _vendors_that_repeat_keys(hunt: Hunt, ring: Ring) -> None:
    """Errors of submits and failed generations, with the server's own keys in their messages."""
    openai, ark = VENDOR_KEYS["OPENAI_API_KEY"], VENDOR_KEYS["ARK_API_KEY"]
    volcengine = f"{VENDOR_KEYS['VOLCENGINE_ACCESS_KEY']} and {VENDOR_KEYS['VOLCENGINE_SECRET_KEY']}"
    kinds = {
        "openai.images": ("image", "openai", "dall-e-3", openai),
        "openai.chat": ("text", "openai", "gpt-4", openai),
        "openai.videos": ("video", "openai", "sora", openai),
        "ark.images": ("image", "volcengine", "doubao-seedream-4-0-250828", ark),
        "visual.*": ("image", "volcengine", "jimeng_t2i_v40", volcengine),
    }
    control = ControlClient(hunt.stack.simulator_url or "")
    with hunt.caller(ring.app.secret.reveal()) as caller:
        ids = []
        for kind, (task_type, provider, model, keys) in kinds.items():
            codes: tuple[int | str, int | str] = (50400, 50511) if kind == "visual.*" else ("Broken", "Broken")
            said = f"refused: {keys} is not enough"
            for fault in (Error(code=codes[0], status=400, message=said), FailGeneration(code=codes[1], message=said)):
                prompt = f"repeats {kind} {type(fault).__name__}"
                control.add_fault(kind, fault, prompt=prompt)
                body = {"provider": provider, "model": model, "user_id": "ada", "prompt": prompt}
                answer = caller.post(f"/api/v1/ai/{task_type}/task", json=body)
                ids += [answer.json()["data"]["task_id"]] if answer.status_code == 201 else []
        assert len(ids) == 2 * len(kinds), hunt.answers[-1]
        results = [_ended(caller, task_id) for task_id in ids]
        assert sum(result["status"] == "failed" for result in results) >= len(kinds)
        hunt.answers += [json.dumps(result["error"]) for result in results]
        for task_id in ids[:3]:
            caller.post(f"/api/v1/ai/task/{task_id}/retry")
            caller.delete(f"/api/v1/ai/task/{task_id}")
    control.close()


def _ended(caller: httpx.Client, task_id: str) -> dict[str, Any]:
    def final() -> dict[str, Any]:
        task: dict[str, Any] = caller.get(f"/api/v1/ai/task/result/{task_id}").json()["data"]
        return task if task["status"] in {"completed", "failed", "cancelled"} else {}

    return wait_until(final, description=f"{task_id} ended", within_s=60)


def _operators(hunt: Hunt, ring: Ring) -> None:
    with hunt.caller(ring.admin.secret.reveal()) as caller:
        caller.post("/api/v1/admin/providers/openai/drain", json={"reason": "a test", "api_key": hunt.used["a token"]})
        caller.post("/api/v1/admin/providers/openai/enable", json={"reason": "a test"})
        caller.post("/api/v1/admin/providers/reload", json={"plugin": "openai"})


def _until_all_is_written(hunt: Hunt) -> None:
    """What became of things is told a little later; the calls to vendors that were begun have ended."""
    with MongoClient[dict[str, Any]](hunt.stack.mongo_url) as mongo:
        rows = mongo.get_default_database()[AUDIT_COLLECTION]
        wait_until(lambda: rows.count_documents({"outcome": "begun"}) == 0, description="every row has its end")
        actions = set(rows.distinct("action"))
    assert {"task.create", "upstream.submit", "upstream.poll", "task.retry", "provider.enable"} <= actions
    assert Path(hunt.stack.folder / "own-logs").is_dir()
