"""The relay's use cases and a worker's steps on in-memory adapters, with a scripted vendor."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from core.callers import ANYBODY, Caller
from core.catalogue import read_catalogue
from core.redaction import redaction
from core.tasks import RelayCall, Task
from polyrelay import Disabled, Provider, Secret
from services.limits.task_quotas import QuotaLimits, TaskQuotas
from services.relay.query import RelayQuery
from services.relay.responses import RelayAnswer
from services.relay.submit import RelaySubmit, RelayTimeouts
from services.tasks.cancel import CancelTask
from services.tasks.create import CreateTask
from services.vendors.jimeng import Jimeng, jimeng_http
from tests.fakes.announcements import MemoryAnnouncements
from tests.fakes.quotas import MemoryQuotas
from tests.unit.services.execution_fixture import ExecutionFixture

CATALOGUE = Path(__file__).parents[4] / "providers" / "catalogue" / "jimeng.toml"
SUBMIT = RelayCall(action="CVSync2AsyncSubmitTask", version="2022-08-31")
QUERY = RelayCall(action="CVSync2AsyncGetResult", version="2022-08-31")
AT_ONCE = RelayCall(action="CVProcess", version="2022-08-31")
KEY, VENDOR_ID = "jimeng_t2i_v40", "7392616336519610409"
BODY = b'{"req_key":"jimeng_t2i_v40","prompt":"cat"}'
PICTURE = b"\x89PNG\r\n\x1a\nrest"

Said = httpx.Response | httpx.TransportError
Respond = Callable[[httpx.Request], Said]


def envelope(code: int = 10000, data: Any = None, *, status: int = 200, **headers: str) -> httpx.Response:
    """The vendor's business envelope."""
    body = {"code": code, "data": data, "message": "as the vendor says", "request_id": "r1", "status": code}
    return httpx.Response(status, json=body, headers={"retry-after": "3", **headers} if status == 429 else headers)


def done(**fields: Any) -> httpx.Response:
    """A query's answer with results."""
    return envelope(data={"status": "done", **fields})


class RelayVendor:
    """
    Responds as scripted, by Action; the last response of an Action is repeated.

    Attributes:
        requests: What came.
        says: The answers to come, by Action.
    """

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.says: dict[str, list[Said]] = {SUBMIT.action: [envelope(data={"task_id": VENDOR_ID})]}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        said = self.says[request.url.params["Action"]]
        answer = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(answer, httpx.TransportError):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def bodies(self, action: str) -> list[Any]:
        """The bodies that came for an Action."""
        return [json.loads(each.content) for each in self.requests if each.url.params["Action"] == action]


class RelayFixture(ExecutionFixture):
    """
    An execution fixture whose one provider is `volcengine`, with the relay.

    Args:
        disabled: The process has no credentials.
    """

    def __init__(self, *, disabled: bool = False, submit_s: float = 5.0, answer_s: float = 5.0) -> None:
        self.vendor = RelayVendor()
        http = jimeng_http(
            "https://visual.test",
            Secret("AKLT-our-public-key"),
            Secret("our-secret-key"),
            read_s=5,
            transport=httpx.MockTransport(self.vendor),
        )
        self.jimeng = Jimeng(read_catalogue(CATALOGUE), http, poll_scale=0.01)
        service = Disabled(self.jimeng.models, "VOLCENGINE_ACCESS_KEY is not set") if disabled else self.jimeng
        super().__init__(others=[Provider("volcengine", [service])])
        self.announcements = MemoryAnnouncements()
        quotas = MemoryQuotas(clock=self.clock)
        task_quotas = TaskQuotas(quotas, self.tasks, QuotaLimits())
        self.submit = RelaySubmit(
            tasks=self.tasks,
            create=CreateTask(self.tasks, self.queue, self.registry, self.clock, task_quotas, redact=redaction()),
            registry=self.registry,
            announcements=self.announcements,
            cancel=CancelTask(tasks=self.tasks, queue=self.queue, gates=self.gates, quotas=quotas, clock=self.clock),
            store=self.store,
            timeouts=RelayTimeouts(submit_s=submit_s, answer_s=answer_s),
        )
        self.query = RelayQuery(tasks=self.tasks, registry=self.registry, store=self.store)

    async def taken(self, body: bytes = BODY, call: RelayCall = SUBMIT, caller: Caller = ANYBODY) -> Task:
        """A submit that no worker has looked at."""
        return (await self.submit.create(call, body, caller)).task

    async def submitted(
        self, body: bytes = BODY, call: RelayCall = SUBMIT, caller: Caller = ANYBODY
    ) -> tuple[Task, RelayAnswer]:
        """A submit with a worker that looks at it at once: the task after that, and what the caller gets."""
        task = await self.taken(body, call, caller)
        answering = asyncio.create_task(self.submit.answer(task))
        await self.play_due()
        await self.announcements.announce(task.id)
        answer = await answering
        return await self.tasks.get(task.id), answer

    async def asked(self, task_id: str, caller: Caller = ANYBODY, **fields: Any) -> RelayAnswer:
        """A query for a task."""
        body = json.dumps({"req_key": KEY, "task_id": task_id, **fields}).encode()
        return await self.query(QUERY, body, caller, lambda named, index: f"https://ours.test/{named}/{index}")

    async def aclose(self) -> None:
        """Close the vendor's connections."""
        await self.jimeng.aclose()
