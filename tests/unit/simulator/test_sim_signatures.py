"""The verifier of request signatures, against vectors made by the vendor's own signers."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from simulator.errors import GatewayError
from simulator.settings import Credentials
from simulator.signatures import SignedRequest, canonical_query, verify

VECTORS: list[dict[str, Any]] = [
    vector
    for vector in json.loads((Path(__file__).parents[2] / "data" / "signing-vectors.json").read_text())
    if "authorization" in vector
]
ACCESS_KEY = "AKLTtest0000000000000000000000000000"
SECRET_KEY = "VGVzdFNlY3JldEtleUZvckdvbGRlblZlY3RvcnMwMDE="
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def received(vector: dict[str, Any]) -> SignedRequest:
    """The vector's request as a server receives it."""
    headers = {name.lower(): value for name, value in vector["in_headers"].items()}
    if "content-type" in vector["canonical_request"] and "content-type" not in headers:
        headers["content-type"] = "application/x-www-form-urlencoded; charset=utf-8"
    headers |= {
        "x-date": vector["x_date"],
        "x-content-sha256": vector["x_content_sha256"],
        "authorization": vector["authorization"],
    }
    if vector["session_token"]:
        headers["x-security-token"] = vector["session_token"]
    return SignedRequest(
        method=vector["method"],
        path=vector["path"],
        query=vector["url_query_as_sent"],
        headers=headers,
        body=vector["body"].encode(),
    )


def keys(vector: dict[str, Any]) -> Credentials:
    """The credentials that the vector was signed with."""
    return Credentials(access_key=ACCESS_KEY, secret_key=SECRET_KEY, session_token=vector["session_token"] or None)


def refusal(request: SignedRequest, credentials: Credentials, now: datetime = NOW) -> str:
    """The gateway's code for a request that must not pass."""
    with pytest.raises(GatewayError) as caught:
        verify(request, credentials, now=now)
    return caught.value.code


def with_headers(request: SignedRequest, **headers: str | None) -> SignedRequest:
    """The same request with some headers changed, or absent where None."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    merged = {name: value for name, value in {**request.headers, **names}.items() if value is not None}
    return msgspec.structs.replace(request, headers=merged)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"])[:2])
def test_what_the_official_signers_sign_is_accepted(vector: dict[str, Any]) -> None:
    """Chinese bodies, ports, session tokens, form-encoded queries and default content types all verify."""
    verify(received(vector), keys(vector), now=NOW)


def test_all_four_vectors_are_there() -> None:
    """The data file holds the four signed requests."""
    assert [vector["name"][:2] for vector in VECTORS] == ["V1", "V2", "V3", "V4"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"])[:2])
def test_one_changed_byte_is_refused(vector: dict[str, Any]) -> None:
    """Another body, another query or another secret does not match."""
    request = received(vector)
    other_secret = msgspec.structs.replace(keys(vector), secret_key="VOLC" + SECRET_KEY)
    assert refusal(msgspec.structs.replace(request, body=request.body + b" "), keys(vector)) == "SignatureDoesNotMatch"
    assert refusal(msgspec.structs.replace(request, query="a=1"), keys(vector)) == "SignatureDoesNotMatch"
    assert refusal(request, other_secret) == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"authorization": None}, "MissingAuthenticationToken"),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=a"}, "InvalidAuthorization"),
        ({"x_date": None}, "MissingRequestInfo"),
        ({"x_date": "yesterday"}, "InvalidTimestamp"),
        ({"x_date": "20260102T030406Z"}, "SignatureDoesNotMatch"),
        ({"x_content_sha256": "0" * 64}, "SignatureDoesNotMatch"),
        ({"content_type": "text/plain"}, "SignatureDoesNotMatch"),
        ({"host": "visual.volcengineapi.com:8080"}, "SignatureDoesNotMatch"),
        ({"x_security_token": "made-up"}, "InvalidSecretToken"),
    ],
)
def test_a_changed_header_is_refused_by_name(headers: dict[str, str | None], code: str) -> None:
    """Each signed header counts, and each defect has the gateway's own code."""
    assert refusal(with_headers(received(VECTORS[0]), **headers), keys(VECTORS[0])) == code


@pytest.mark.parametrize("port", ["", ":80", ":443"])
def test_a_default_port_does_not_count(port: str) -> None:
    """The host verifies with and without a default port."""
    verify(with_headers(received(VECTORS[0]), host=f"visual.volcengineapi.com{port}"), keys(VECTORS[0]), now=NOW)


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_more_than_15_minutes_off_is_refused(minutes: int) -> None:
    """Requests that are too old or from the future do not pass; 14 minutes do."""
    request, credentials = received(VECTORS[0]), keys(VECTORS[0])
    assert refusal(request, credentials, NOW + timedelta(minutes=minutes)) == "InvalidTimestamp"
    verify(request, credentials, now=NOW + timedelta(minutes=14))


def test_an_unknown_access_key_is_refused() -> None:
    """The key decides before the signature does."""
    other = msgspec.structs.replace(keys(VECTORS[0]), access_key="AKLTother")
    assert refusal(received(VECTORS[0]), other) == "InvalidAccessKey"


@pytest.mark.parametrize("part", ["cn-north-1", "cv", "request", "20260102"])
def test_the_scope_must_be_the_services_own(part: str) -> None:
    """Another date, region, service or ending in the credential is refused."""
    scope = VECTORS[0]["authorization"].replace(f"/{part}", "/other", 1)
    assert refusal(with_headers(received(VECTORS[0]), authorization=scope), keys(VECTORS[0])) in {
        "InvalidCredential",
        "ServiceNotFound",
    }


@pytest.mark.parametrize("name", ["host", "x-date", "x-content-sha256"])
def test_the_essential_headers_must_be_signed(name: str) -> None:
    """A signature that leaves out host, date or body hash is refused whatever its value."""
    names = [other for other in ("content-type", "host", "x-content-sha256", "x-date") if other != name]
    header = VECTORS[0]["authorization"].replace("content-type;host;x-content-sha256;x-date", ";".join(names))
    assert refusal(with_headers(received(VECTORS[0]), authorization=header), keys(VECTORS[0])) == "MissingRequestInfo"


def test_a_session_token_must_be_the_right_one_and_signed() -> None:
    """Temporary keys need their token."""
    request, credentials = received(VECTORS[1]), keys(VECTORS[1])
    assert refusal(with_headers(request, x_security_token=None), credentials) == "InvalidSecretToken"
    unsigned = VECTORS[1]["authorization"].replace(";x-security-token", "")
    assert refusal(with_headers(request, authorization=unsigned), credentials) == "SignatureDoesNotMatch"


def test_the_query_is_decoded_and_encoded_again() -> None:
    """A plus on the wire is a space, keys are sorted, empty values stay."""
    assert canonical_query("b=a+b&a=%7E*&c=") == "a=~%2A&b=a%20b&c="
