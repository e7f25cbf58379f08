"""The error that each of the vendor's codes means."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from polyrelay import (
    GenerationFailed,
    Job,
    OutcomeUnknown,
    Overloaded,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
)
from services.vendors.jimeng import Jimeng

MODEL = "jimeng_t2i_v40"
SYNCHRONOUS = "jimeng_high_aes_general_v21_L"

BLOCKED = [(400, code, Rejected, "content_blocked") for code in (50411, 50412, 50413, 50512, 50518)]
INVALID = [
    (400, code, Rejected, "invalid_input")
    for code in (50200, 50201, 50204, 50205, 50206, 50207, 50209, 50211, 50213, 50214, 50215, 60102, 59999)
]
FAILED = [(400, code, GenerationFailed, True) for code in (50511, 50516, 50517, 50519)] + [
    (400, code, GenerationFailed, False) for code in (50520, 50521, 50522)
]
SERVICE: list[tuple[int, int, type[ProviderError], str | bool | None]] = [
    *BLOCKED,
    *INVALID,
    *FAILED,
    (429, 50429, RateLimited, None),
    (429, 50430, Overloaded, None),
    (400, 50400, Rejected, "auth"),
    (403, 50400, Rejected, "auth"),
    (400, 50402, Rejected, "not_found"),
    (401, 59999, Rejected, "auth"),
    (404, 59999, Rejected, "not_found"),
    (429, 59999, RateLimited, None),
    (200, 59999, GenerationFailed, False),
]

GATEWAY: list[tuple[int, str, type[ProviderError], str | None]] = [
    *((401, code, Rejected, "auth") for code in ("MissingAuthenticationToken", "MissingSignature", "InvalidAccessKey")),
    *((401, code, Rejected, "auth") for code in ("SignatureDoesNotMatch", "InvalidSecretToken")),
    *((400, code, Rejected, "auth") for code in ("InvalidTimestamp", "InvalidAuthorization", "InvalidCredential")),
    *((403, code, Rejected, "auth") for code in ("LackPolicy", "AccessDenied", "SomethingNew")),
    *((404, code, Rejected, "not_found") for code in ("ServiceNotFound", "InvalidActionOrVersion", "SomethingNew")),
    *((400, code, Rejected, "invalid_input") for code in ("MissingParameter", "MissingRequestInfo", "SomethingNew")),
    (429, "FlowLimitExceeded", RateLimited, None),
]


def gateway_answer(status: int, code: str, message: str = "no") -> httpx.Response:
    return httpx.Response(
        status,
        json={"ResponseMetadata": {"RequestId": "g1", "Error": {"CodeN": 100000, "Code": code, "Message": message}}},
    )


async def failure_of(call: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await call
    return caught.value


def meaning(error: ProviderError) -> str | bool | None:
    """The attribute of the error that the code decides besides its class."""
    if isinstance(error, Rejected):
        return error.reason
    return error.retryable if isinstance(error, GenerationFailed) else None


@pytest.mark.parametrize(("status", "code", "kind", "more"), SERVICE)
async def test_a_code_is_the_same_failure_in_every_call(
    jimeng: Jimeng,
    vendor: Any,
    job_of: Callable[..., Job[Any]],
    status: int,
    code: int,
    kind: type[ProviderError],
    more: str | bool | None,
) -> None:
    """A definite code means the same for a submit, a query and a synchronous call; each is sent once."""
    vendor.says(code, status=status, message="Some Words")
    job = job_of(MODEL, prompt="cat")

    for call in (jimeng.submit(job), jimeng.poll(job, f"{MODEL}/1"), jimeng.submit(job_of(SYNCHRONOUS, prompt="cat"))):
        error = await failure_of(call)
        assert kind is type(error)
        assert more == meaning(error)
        assert (str(code), status, "r2") == (error.code, error.http_status, error.request_id)
        assert f"volcengine: Some Words (code {code}, request r2)" == error.message
    assert len(vendor.requests) == 3


@pytest.mark.parametrize(("status", "code", "kind", "more"), GATEWAY)
async def test_the_gateway_refuses_in_its_own_envelope(
    jimeng: Jimeng,
    vendor: Any,
    job_of: Callable[..., Job[Any]],
    status: int,
    code: str,
    kind: type[ProviderError],
    more: str | None,
) -> None:
    """An error of the signing gateway is read from its own format."""
    vendor.answer = gateway_answer(status, code)

    error = await failure_of(jimeng.submit(job_of(MODEL, prompt="cat")))

    assert kind is type(error)
    assert more == meaning(error)
    assert (code, status, "g1") == (error.code, error.http_status, error.request_id)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, json={"code": 50500, "message": "Internal Error"}),
        httpx.Response(200, json={"code": 50500, "message": "Internal Error"}),
        httpx.Response(500, json={"code": 50501, "message": "Internal RPC Error"}),
        httpx.Response(503, json={"code": 59999, "message": "What"}),
        gateway_answer(500, "InternalError"),
        gateway_answer(400, "FailToConnect"),
        gateway_answer(504, "InternalServiceTimeout"),
        gateway_answer(502, "SomethingNew"),
        httpx.Response(502, html="<h1>Bad Gateway</h1>"),
        httpx.Response(504),
    ],
)
async def test_an_internal_error_is_unknown_for_a_submit_and_unavailable_for_a_query(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]], answer: httpx.Response
) -> None:
    """After an internal error the outcome of a submit is unknown; a query is repeated."""
    vendor.answer = answer
    job = job_of(MODEL, prompt="cat")

    assert OutcomeUnknown is type(await failure_of(jimeng.submit(job)))
    assert OutcomeUnknown is type(await failure_of(jimeng.submit(job_of(SYNCHRONOUS, prompt="cat"))))
    assert Unavailable is type(await failure_of(jimeng.poll(job, f"{MODEL}/1")))
    assert len(vendor.requests) == 3


async def test_a_read_timeout_of_a_submit_is_an_unknown_outcome(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]
) -> None:
    """A submit without an answer may have been accepted; it is sent once."""
    vendor.answer = httpx.ReadTimeout("slow")

    assert OutcomeUnknown is type(await failure_of(jimeng.submit(job_of(MODEL, prompt="cat"))))
    assert len(vendor.requests) == 1


async def test_the_vendors_retry_time_is_kept(jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]) -> None:
    """`Retry-After` is in the error."""
    vendor.answer = httpx.Response(429, json={"code": 50430, "message": "busy"}, headers={"Retry-After": "7"})

    error = await failure_of(jimeng.submit(job_of(MODEL, prompt="cat")))

    assert isinstance(error, Overloaded)
    assert error.retry_after_s == 7.0


@pytest.mark.parametrize("secret", ["the-secret-key", "AKLTpublic"])
async def test_a_message_never_repeats_a_key(
    jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]], secret: str
) -> None:
    """A key that the vendor repeats in a message is masked."""
    vendor.answer = gateway_answer(401, "InvalidAccessKey", f"the key [{secret}] is unknown")

    error = await failure_of(jimeng.submit(job_of(MODEL, prompt="cat")))

    assert "the key [***] is unknown" in error.message
    assert secret not in str(error)


async def test_a_long_message_is_cut(jimeng: Jimeng, vendor: Any, job_of: Callable[..., Job[Any]]) -> None:
    """A message has a largest length."""
    vendor.says(50200, status=400, message="x" * 10_000)

    error = await failure_of(jimeng.submit(job_of(MODEL, prompt="cat")))

    assert len(error.message) < 600
    assert "50200" in error.message
