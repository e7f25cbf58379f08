"""Requests have the same signatures as those of the official clients."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from volcengine.auth.SignerV4 import SignerV4
from volcengine.base.Request import Request
from volcengine.Credentials import Credentials as OfficialCredentials

from polyrelay import Secret
from services.vendors.jimeng.signing import Credentials, Unsigned, VolcengineAuth, canonical_text, signature_headers

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[4] / "data" / "signing-vectors.json").read_text("utf-8")
)
BY_NAME = pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"][:2] for vector in VECTORS])


def moment(vector: dict[str, Any]) -> datetime:
    return datetime.strptime(vector["x_date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def credentials(vector: dict[str, Any]) -> Credentials:
    token = vector["session_token"]
    return Credentials(
        access_key=Secret("AKLTtest0000000000000000000000000000"),
        secret_key=Secret("VGVzdFNlY3JldEtleUZvckdvbGRlblZlY3RvcnMwMDE="),
        session_token=Secret(token) if token else None,
    )


def unsigned(vector: dict[str, Any]) -> Unsigned:
    return Unsigned(
        method=vector["method"],
        path=vector["path"],
        query=[(key, value) for key, value in vector["query"]],
        headers=vector["in_headers"],
        body=vector["body"].encode(),
    )


@BY_NAME
def test_the_headers_are_those_of_the_official_signers(vector: dict[str, Any]) -> None:
    """For each recorded request the headers are those of both official signers."""
    headers = signature_headers(unsigned(vector), credentials(vector), at=moment(vector))

    assert vector["authorization"] == headers["Authorization"]
    assert vector["x_date"] == headers["X-Date"]
    assert vector["x_content_sha256"] == headers["X-Content-Sha256"]
    assert (vector["session_token"] or None) == headers.get("X-Security-Token")


@BY_NAME
def test_the_canonical_text_is_that_of_the_official_signers(vector: dict[str, Any]) -> None:
    """The text whose hash is signed is that of the official signers, byte for byte."""
    lines = vector["canonical_request"].split("\n\n")[0].split("\n")[3:]
    signed = dict(line.split(":", 1) for line in lines)

    text = canonical_text(unsigned(vector), signed)

    assert vector["canonical_request"] == text
    assert vector["canonical_sha256"] == hashlib.sha256(text.encode()).hexdigest()


@BY_NAME
async def test_what_httpx_sends_carries_that_signature(vector: dict[str, Any]) -> None:
    """As httpx auth, the signature covers the query, the Host and the body exactly as they are sent."""
    seen: list[httpx.Request] = []

    def record(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    auth = VolcengineAuth(credentials(vector), clock=lambda: moment(vector))
    async with httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(record)) as client:
        await client.request(
            vector["method"],
            f"https://visual.volcengineapi.com{vector['path']}",
            params=[(key, value) for key, value in vector["query"]],
            headers=vector["in_headers"],
            content=vector["body"].encode(),
        )

    assert vector["authorization"] == seen[0].headers["Authorization"]


async def test_a_request_of_the_official_client_is_reproduced() -> None:
    """A request recorded from the official VisualService, with another key and time, gets the same signature."""
    body = b'{"req_key": "jimeng_t2i_v40", "prompt": "\\u4e00\\u53ea\\u732b", "return_url": true}'
    headers = signature_headers(
        Unsigned(
            method="POST",
            path="/",
            query=[("Action", "CVSync2AsyncSubmitTask"), ("Version", "2022-08-31")],
            headers={"Host": "127.0.0.1:18931", "Content-Type": "application/json"},
            body=body,
        ),
        Credentials(access_key=Secret("AKLTtest"), secret_key=Secret("SKtest")),
        at=datetime(2026, 11, 22, 7, 46, 47, tzinfo=UTC),
    )

    assert headers["Authorization"].endswith(
        "Signature=3f4734924d430da567ef29c4cb2555eb3c426e4731cceedddb4401042a016760"
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    method=st.sampled_from(["GET", "POST"]),
    query=st.dictionaries(st.text("abAB01-_.~", min_size=1, max_size=5), st.text(max_size=8), max_size=4),
    host=st.sampled_from(["visual.volcengineapi.com", "127.0.0.1:8080", "example.test:443", "example.test:80"]),
    body=st.text(max_size=30),
    token=st.none() | st.text("abc+/=", min_size=1),
)
def test_any_request_is_signed_as_by_the_official_signer(
    method: str, query: dict[str, str], host: str, body: str, token: str | None
) -> None:
    """For any query, host, body and token the signature equals the official signer's."""
    official = Request()
    official.set_method(method)
    official.set_path("/")
    official.set_query(query)
    official.set_headers({"Host": host, "Content-Type": "application/json"})
    official.set_body(body)
    SignerV4.sign(official, OfficialCredentials("AK", "SK", "cv", "cn-north-1", token or ""))

    headers = signature_headers(
        Unsigned(
            method=method,
            path="/",
            query=list(query.items()),
            headers={"Host": host, "Content-Type": "application/json"},
            body=body.encode(),
        ),
        Credentials(
            access_key=Secret("AK"), secret_key=Secret("SK"), session_token=Secret(token) if token is not None else None
        ),
        at=datetime.strptime(official.headers["X-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC),
    )

    assert headers["Authorization"] == official.headers["Authorization"]


def test_a_time_in_another_zone_is_signed_as_utc() -> None:
    """The date is in UTC, whatever the time zone of the clock."""
    vector = VECTORS[0]
    local = moment(vector).astimezone(tz=datetime.strptime("+0800", "%z").tzinfo)

    headers = signature_headers(unsigned(vector), credentials(vector), at=local)

    assert vector["authorization"] == headers["Authorization"]


def test_no_repr_shows_a_secret() -> None:
    """Printing the credentials or the auth shows no key or token."""
    keys = Credentials(access_key=Secret("AKpublic"), secret_key=Secret("SKhidden"), session_token=Secret("STShidden"))

    shown = f"{keys!r} {VolcengineAuth(keys)!r} {vars(VolcengineAuth(keys))!r}"

    assert "hidden" not in shown
    assert "AKpublic" not in shown
