"""The meaning of Ark's error answers."""

import httpx
import pytest

from polyrelay import (
    GenerationFailed,
    OutcomeUnknown,
    Overloaded,
    ProviderError,
    RateLimited,
    Rejected,
    Secret,
    Unavailable,
    VendorHttp,
)
from services.vendors.ark import ark_http

TABLE = [
    (400, "MissingParameter.prompt", Rejected, "invalid_input"),
    (400, "InvalidParameter", Rejected, "invalid_input"),
    (400, "InputTextSensitiveContentDetected", Rejected, "content_blocked"),
    (400, "InputImageSensitiveContentDetected.PrivacyInformation", Rejected, "content_blocked"),
    (400, "SensitiveContentDetected.SevereViolation", Rejected, "content_blocked"),
    (400, "InputTextRiskDetection", Rejected, "content_blocked"),
    (400, "ContentSecurityDetectionError", Rejected, "content_blocked"),
    (400, "OutputImageSensitiveContentDetected", GenerationFailed, None),
    (400, "OutputVideoSensitiveContentDetected.PolicyViolation", GenerationFailed, None),
    (400, "OutputTextRiskDetection", GenerationFailed, None),
    (401, "AuthenticationError", Rejected, "auth"),
    (401, "InvalidAccountStatus", Rejected, "auth"),
    (403, "AccessDenied", Rejected, "auth"),
    (403, "OperationDenied.PermissionDenied", Rejected, "auth"),
    (403, "AccountOverdueError", Rejected, "quota"),
    (403, "OperationDenied.ServiceOverdue", Rejected, "quota"),
    (404, "InvalidEndpointOrModel.NotFound", Rejected, "not_found"),
    (404, "ModelNotOpen", Rejected, "not_found"),
    (429, "RateLimitExceeded.EndpointRPMExceeded", RateLimited, None),
    (429, "ModelAccountIpmRateLimitExceeded", RateLimited, None),
    (429, "AccountRateLimitExceeded", RateLimited, None),
    (429, "RequestBurstTooFast", RateLimited, None),
    (429, "ServerOverloaded", Overloaded, None),
    (429, "InflightBatchsizeExceeded", Overloaded, None),
    (429, "QuotaExceeded", Rejected, "quota"),
    (429, "SetLimitExceeded", Rejected, "quota"),
    (408, "RequestTimeout", OutcomeUnknown, None),
    (500, "InternalServiceError", OutcomeUnknown, None),
    (503, "ServerOverloaded", OutcomeUnknown, None),
    (302, "Moved", OutcomeUnknown, None),
]


def ark(status: int, body: object, **headers: str) -> VendorHttp:
    """An Ark that always gives one answer."""
    answer = httpx.Response(status, json=body, headers={"X-Request-Id": "req-9", **headers})
    return ark_http("https://ark.test", Secret("ark-sekret"), transport=httpx.MockTransport(lambda _: answer))


@pytest.mark.parametrize(("status", "code", "kind", "reason"), TABLE)
async def test_a_code_has_one_meaning(status: int, code: str, kind: type[ProviderError], reason: str | None) -> None:
    """Each documented code has one class of error, with the vendor's details."""
    with pytest.raises(ProviderError) as caught:
        await ark(status, {"error": {"code": code, "message": "because"}}).submit("/x", json={})

    error = caught.value
    assert type(error) is kind
    assert getattr(error, "reason", None) == reason
    assert not getattr(error, "retryable", False)
    assert (error.http_status, error.request_id) == (status, "req-9")
    assert status == 302 or (error.code == code and (status == 401 or f"{code}: because" in error.message))


async def test_a_failed_query_may_be_repeated() -> None:
    """A 5xx means an unknown outcome for a submit, and only Unavailable for a query."""
    failure = ark(500, {"error": {"code": "InternalServiceError", "message": "oops"}})

    with pytest.raises(Unavailable, match="oops"):
        await failure.query("GET", "/x")


@pytest.mark.parametrize(("header", "value", "wait_s"), [("Retry-After", "7", 7.0), ("retry-after-ms", "50", 0.05)])
async def test_the_retry_time_of_the_vendor_is_kept(header: str, value: str, wait_s: float) -> None:
    """The wait that the vendor asks for is in the error."""
    with pytest.raises(RateLimited) as caught:
        await ark(429, {"error": {"code": "RateLimitExceeded"}}, **{header: value}).submit("/x", json={})
    assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize("body", [None, "text", [], {"error": None}, {"error": "no"}, {"error": {"code": 5}}, 3])
@pytest.mark.parametrize(("status", "kind"), [(400, Rejected), (429, RateLimited), (502, OutcomeUnknown)])
async def test_another_envelope_counts_by_its_status(status: int, kind: type[ProviderError], body: object) -> None:
    """If the error body has another shape, the status decides."""
    with pytest.raises(kind):
        await ark(status, body).submit("/x", json={})


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
async def test_the_key_is_never_repeated(status: int) -> None:
    """An error message never contains the API key."""
    body = {"error": {"code": "AuthenticationError", "message": "the key ark-sekret is wrong"}}

    with pytest.raises(ProviderError) as caught:
        await ark(status, body).submit("/x", json={})
    assert "ark-sekret" not in str(caught.value)


async def test_a_message_is_cut_to_a_readable_length() -> None:
    """A vendor's message is truncated, so that it cannot fill the task's record."""
    with pytest.raises(Rejected) as caught:
        await ark(400, {"error": {"code": "InvalidParameter", "message": "x" * 100_000}}).submit("/x", json={})
    assert len(caught.value.message) < 1100
