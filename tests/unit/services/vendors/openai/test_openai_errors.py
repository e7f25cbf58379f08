"""The meaning of OpenAI's error answers."""

import httpx
import pytest

from polyrelay import OutcomeUnknown, ProviderError, RateLimited, Rejected, Secret
from services.vendors.openai import openai_http


@pytest.mark.parametrize(
    ("status", "error", "kind", "reason"),
    [
        (400, {"code": "invalid_value", "type": "invalid_request_error"}, Rejected, "invalid_input"),
        (400, {"code": "content_policy_violation"}, Rejected, "content_blocked"),
        (400, {"code": "moderation_blocked", "type": "image_generation_user_error"}, Rejected, "content_blocked"),
        (400, {"code": "billing_hard_limit_reached"}, Rejected, "quota"),
        (401, {"code": "invalid_api_key"}, Rejected, "auth"),
        (403, {"code": None, "type": "permission_error"}, Rejected, "auth"),
        (404, {"code": "model_not_found"}, Rejected, "not_found"),
        (429, {"code": "rate_limit_exceeded"}, RateLimited, None),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, Rejected, "quota"),
        (429, {"code": None, "type": "insufficient_quota"}, Rejected, "quota"),
        (500, {"code": None, "type": "server_error"}, OutcomeUnknown, None),
        (503, {"code": "overloaded"}, OutcomeUnknown, None),
    ],
)
async def test_a_code_has_one_meaning(
    status: int, error: dict[str, str], kind: type[ProviderError], reason: str | None
) -> None:
    """The code decides, else the type, else the HTTP status."""
    answer = httpx.Response(status, json={"error": {"message": "because", **error}}, headers={"x-request-id": "req-1"})
    http = openai_http("https://openai.test", Secret("sk-key"), transport=httpx.MockTransport(lambda _: answer))

    with pytest.raises(ProviderError) as caught:
        await http.submit("/x", json={})

    assert type(caught.value) is kind
    assert getattr(caught.value, "reason", None) == reason
    assert (caught.value.code, caught.value.http_status, caught.value.request_id) == (error["code"], status, "req-1")


async def test_a_masked_key_is_not_shown() -> None:
    """OpenAI repeats a wrong key partly masked, so the message of a 401 is left out."""
    body = {"error": {"code": "invalid_api_key", "message": "Incorrect API key provided: sk-ab**yz"}}
    transport = httpx.MockTransport(lambda _: httpx.Response(401, json=body))

    with pytest.raises(Rejected) as caught:
        await openai_http("https://openai.test", Secret("sk-key"), transport=transport).submit("/x", json={})
    assert caught.value.message == "openai refused the credentials (invalid_api_key)"
