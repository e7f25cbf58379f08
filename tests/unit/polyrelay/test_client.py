"""The API client, with httpx's mock transport."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from polyrelay.client import ApiError, AsyncClient, Client, NotReached, TaskView, WaitTimeout

URL = "http://relay.test"
Handler = Callable[[httpx.Request], httpx.Response]


def relay(handler: Handler, **options: Any) -> Client:
    return Client(URL, transport=httpx.MockTransport(handler), **options)


def good(data: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"success": True, "data": data, "message": ""})


def task(status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"task_id": "task_1", "type": "image", "status": status, "provider": "p", "model": "m", **fields}


def refusal(status: int, code: str, **fields: Any) -> httpx.Response:
    error = {"code": code, "message": "no", "details": [], "request_id": "r1", **fields}
    return httpx.Response(status, json={"success": False, "data": None, "message": "no", "error": error})


def test_create_posts_the_given_fields_flat() -> None:
    """A create is one POST to the type's path, with the given fields and without those that are None."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return good(task("pending"), 201)

    created = relay(handle).create("image", provider="p", model="m", user_id="me", prompt="fox", seed=None)

    assert created.task_id == "task_1"
    assert [(request.method, request.url.path) for request in seen] == [("POST", "/api/v1/ai/image/task")]
    assert seen[0].read() == b'{"provider":"p","model":"m","user_id":"me","prompt":"fox"}'


def test_a_create_that_was_cut_off_is_not_sent_again() -> None:
    """A create without a key is sent once, because it may cost money; the error says that it may have arrived."""
    calls = 0

    def handle(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        raise httpx.ReadTimeout("timed out", request=request)

    with pytest.raises(NotReached) as raised:
        relay(handle).create("text", provider="p", model="m", user_id="me", prompt="hi")

    assert (calls, raised.value.sent) == (1, True)


@pytest.mark.parametrize(
    "failure", [httpx.ReadTimeout("timed out"), httpx.ConnectError("refused"), 502, 503, 504], ids=str
)
def test_a_create_with_a_key_is_repeated(failure: httpx.TransportError | int) -> None:
    """A create with a key is repeated with identical requests, because the server creates one task."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) > 1:
            return good(task("pending"), 201)
        if isinstance(failure, int):
            return refusal(failure, "store_unavailable")
        raise failure

    created = relay(handle).create("text", idempotency_key="k-1", provider="p", model="m", user_id="me", prompt="hi")

    assert created.task_id == "task_1"
    assert [request.headers["idempotency-key"] for request in seen] == ["k-1", "k-1"]
    assert seen[0].read() == seen[1].read()
    assert b"k-1" not in seen[0].read()


@pytest.mark.parametrize("status", [422, 429, 500])
def test_a_refusal_is_not_repeated_with_a_key(status: int) -> None:
    """A refusal and a 429 are raised at once, also with a key."""
    calls = 0

    def handle(_: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        return refusal(status, "no")

    with pytest.raises(ApiError):
        relay(handle).create("text", idempotency_key="k-1", provider="p", model="m", user_id="me", prompt="hi")

    assert calls == 1


def test_a_refused_connection_says_that_nothing_was_sent() -> None:
    """If no connection was made, `sent` is false."""

    def handle(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with pytest.raises(NotReached, match=r"relay\.test.*refused") as raised:
        relay(handle).get("task_1")

    assert not raised.value.sent


def test_an_error_has_the_fields_of_the_response() -> None:
    """An answer that is not a success is an ApiError with status, code, message, details and request id."""
    details = [{"field": "size", "message": "allowed: 1K", "value": "9K"}]

    with pytest.raises(ApiError) as raised:
        relay(lambda _: refusal(422, "invalid_request", details=details)).get("task_1")

    error = raised.value
    assert (error.status, error.code, error.message, error.request_id) == (422, "invalid_request", "no", "r1")
    assert error.details == tuple(details)


@pytest.mark.parametrize("body", [b"<html>502</html>", b"", b"\xff\xfe", b"[]", b'{"data": 5}'])
@pytest.mark.parametrize("status", [200, 502])
def test_an_answer_of_something_else_is_an_api_error(body: bytes, status: int) -> None:
    """Any response that is not one of the task API is an ApiError, not a decoding error."""
    with pytest.raises(ApiError) as raised:
        relay(lambda _: httpx.Response(status, content=body)).get("task_1")

    assert raised.value.status == status


def test_unknown_fields_are_ignored() -> None:
    """Fields that this client does not know are ignored, so that it works with a newer server."""
    assert relay(lambda _: good(task(colour="red", results=[{"type": "image"}]))).get("task_1").final


def test_wait_reports_each_change_and_ends_with_the_task() -> None:
    """`wait` reads until the task is final; `on_change` gets every change once, including the first state."""
    answers = iter([task("pending"), task("pending"), task("processing"), task("completed")])
    seen: list[str] = []

    done = relay(lambda _: good(next(answers))).wait("task_1", 20, lambda task: seen.append(task.status))

    assert seen == ["pending", "processing", "completed"]
    assert done.status == "completed"


def test_wait_ends_after_its_timeout_with_the_task() -> None:
    """After `timeout_s` the wait ends with an error that has the task; the task continues to run."""
    with pytest.raises(WaitTimeout) as raised:
        relay(lambda _: good(task("processing"))).wait("task_1", 0.01)

    assert raised.value.task.status == "processing"


def test_wait_continues_after_a_short_outage_of_the_server() -> None:
    """After the first successful read, a failed read is repeated, because reading costs nothing."""
    answers = iter([good(task("pending")), httpx.Response(503), None, good(task())])

    def handle(request: httpx.Request) -> httpx.Response:
        answer = next(answers)
        if answer is None:
            raise httpx.ConnectError("refused", request=request)
        return answer

    assert relay(handle).wait("task_1", 20).status == "completed"


def test_wait_for_a_task_that_does_not_exist_fails_at_once() -> None:
    """A refused read is raised at once."""
    with pytest.raises(ApiError, match="task_not_found"):
        relay(lambda _: refusal(404, "task_not_found")).wait("task_1", 20)


def test_a_list_sends_only_the_filters_that_are_set() -> None:
    """A filter that is None is not sent."""

    def handle(request: httpx.Request) -> httpx.Response:
        assert dict(request.url.params) == {"user_id": "me", "limit": "5"}
        return good(
            {"tasks": [task()], "total": 7, "total_is_exact": False, "limit": 5, "offset": 0, "next_after": "task_1"}
        )

    page = relay(handle).list(user_id="me", limit=5)

    assert (page.tasks[0].task_id, page.total, page.total_is_exact) == ("task_1", 7, False)
    assert page.next_after == "task_1"


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    """A task id is one segment of the path, whatever it contains."""
    paths: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path)
        return good({})

    relay(handle).delete("../tasks?x=1")

    assert paths == [b"/api/v1/ai/task/..%2Ftasks%3Fx%3D1"]


def test_the_key_goes_to_the_own_server_only(tmp_path: Path) -> None:
    """The API key is sent to the API's server only, not to a vendor whose link is in the result."""
    keys: dict[str, str | None] = {}

    def handle(request: httpx.Request) -> httpx.Response:
        keys[request.url.host] = request.headers.get("authorization")
        return httpx.Response(200, content=b"x", headers={"content-type": "image/png"})

    client = relay(handle, api_key="k")
    client.download(f"{URL}/files/0", tmp_path / "own")
    client.download("https://vendor.test/files/0", tmp_path / "other")

    assert keys == {"relay.test": "Bearer k", "vendor.test": None}


@pytest.mark.parametrize(
    ("headers", "path", "suffix"),
    [
        ({"content-type": "image/jpeg"}, "/0", ".jpg"),
        ({"content-disposition": 'inline; filename="a.mp4"'}, "/0", ".mp4"),
        ({}, "/a/b.webp", ".webp"),
        ({}, "/0", ".bin"),
    ],
)
def test_a_download_gets_a_suffix(headers: dict[str, str], path: str, suffix: str, tmp_path: Path) -> None:
    """The suffix comes from the media type, else from the name that the server gives, else from the link."""
    saved = relay(lambda _: httpx.Response(200, content=b"x", headers=headers)).download(path, tmp_path / "file")

    assert saved == tmp_path / f"file{suffix}"
    assert saved.read_bytes() == b"x"


def test_a_download_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    """An incomplete file never has its final name."""

    def broken() -> Any:
        yield b"half"
        raise httpx.ReadError("cut")

    with pytest.raises(NotReached):
        relay(lambda _: httpx.Response(200, content=broken())).download("/0", tmp_path / "file.png")

    assert list(tmp_path.iterdir()) == []


def test_every_output_is_saved(tmp_path: Path) -> None:
    """`save` writes each link and each text once, numbered."""
    done = TaskView(
        task_id="t",
        type="image",
        status="completed",
        image_url="/a.png",
        image_urls=["/a.png", "/b.png"],
        text_result="hé",
    )

    saved = relay(lambda request: httpx.Response(200, content=request.url.raw_path)).save(done, tmp_path / "new")

    assert [path.name for path in saved] == ["t-1.png", "t-2.png", "t-3.txt"]
    assert saved[1].read_bytes() == b"/b.png"
    assert saved[2].read_text("utf-8") == "hé"


async def test_the_asynchronous_client_does_the_same(tmp_path: Path) -> None:
    """`AsyncClient` waits, saves and raises like `Client`."""
    answers = iter([task("processing"), task(image_urls=["/f.png"])])

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/f.png":
            return httpx.Response(200, content=b"x")
        if request.url.path.endswith("/models"):
            return refusal(503, "store_unavailable")
        return good(next(answers))

    async with AsyncClient(URL, transport=httpx.MockTransport(handle)) as client:
        done = await client.wait("task_1", 20)
        saved = await client.save(done, tmp_path)
        with pytest.raises(ApiError, match="store_unavailable"):
            await client.models()

    assert [path.name for path in saved] == ["task_1-1.png"]


def test_cancel_and_retry_say_what_may_be_billed() -> None:
    """Each is one POST without a body, and its answer is read."""
    asked: list[tuple[str, str, bytes]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, request.content))
        return good({**task("processing"), "cancel": "requested", "attempts": 2, "may_be_billed": True})

    cancelled, retried = relay(handle).cancel("task_1"), relay(handle).retry("task_1")

    assert (cancelled.status, cancelled.cancel, cancelled.may_be_billed) == ("processing", "requested", True)
    assert (retried.attempts, retried.may_be_billed) == (2, True)
    root = "/api/v1/ai/task/task_1"
    assert asked == [("POST", f"{root}/cancel", b""), ("POST", f"{root}/retry", b"")]


def test_a_delete_says_what_became_of_the_open_task() -> None:
    """The result has whether the task was open, whether the vendor stopped, and whether it may bill."""
    data = {
        "task_id": "task_1",
        "status": "processing",
        "cancelled": True,
        "vendor_stopped": True,
        "may_be_billed": True,
    }

    removed = relay(lambda _: good(data)).delete("task_1")

    assert (removed.status, removed.cancelled, removed.vendor_stopped) == ("processing", True, True)


def test_a_cancel_that_is_too_late_is_a_refusal() -> None:
    """A cancel that is too late raises an ApiError."""
    with pytest.raises(ApiError, match="not_possible"):
        relay(lambda _: refusal(409, "not_possible")).cancel("task_1")


async def test_the_asynchronous_client_cancels_and_retries() -> None:
    """`AsyncClient` cancels and retries like `Client`."""
    answer = good({**task("pending"), "cancel": "cancelled", "may_be_billed": False})
    async with AsyncClient(URL, transport=httpx.MockTransport(lambda _: answer)) as client:
        assert (await client.cancel("task_1")).cancel == "cancelled"
        assert not (await client.retry("task_1")).may_be_billed


def test_a_task_reports_who_served_it() -> None:
    """A task has the provider that served it, its attempts, and the time of the cancellation request."""
    shown = relay(
        lambda _: good(
            {
                **task("processing"),
                "priority": "low",
                "served_by": {"provider": "q", "model": "n"},
                "cancel_requested": "2026-01-31T12:00:00Z",
                "attempts": [{"number": 1, "provider": "q", "model": "n", "error": {"code": "overloaded"}}],
            }
        )
    ).get("task_1")

    assert shown.served_by is not None
    assert (shown.served_by.provider, shown.served_by.model, shown.priority) == ("q", "n", "low")
    assert shown.cancel_requested is not None
    assert shown.attempts is not None
    assert [attempt.error and attempt.error.code for attempt in shown.attempts] == ["overloaded"]
