"""
Verifies Volcengine request signatures (HMAC-SHA256), strictly.

Source: the signers of PyPI `volcengine` 1.0.229 and `volcenginesdk-core` 5.0.54, and `base/sign.go` of volc-sdk-golang.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

import msgspec

from simulator.errors import GatewayError
from simulator.settings import Credentials

AUTHORIZATION = re.compile(r"HMAC-SHA256 Credential=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})")
MUST_BE_SIGNED = frozenset({"host", "x-date", "x-content-sha256"})


class SignedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    A request as it was received.

    Attributes:
        path: Undecoded; empty counts as `/`.
        query: Undecoded, without the question mark.
        headers: Names in lower case.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The `Credential` of an Authorization header."""

    access_key: str
    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/request"


def verify(request: SignedRequest, credentials: Credentials, *, now: datetime, skew_s: float = 900.0) -> None:
    """
    Check that one of the vendor's signers could have signed the request with these credentials.

    Raises:
        GatewayError: The signature is not valid, with the code of the vendor's gateway.
    """
    scope, signed, signature = parse_authorization(request.headers.get("authorization"))
    _check_time(request.headers, scope, now=now, skew_s=skew_s)
    _check_scope(scope, credentials)
    _check_token(request.headers, signed, credentials)
    if not MUST_BE_SIGNED.issubset(signed):
        raise GatewayError("MissingRequestInfo", f"SignedHeaders must list {', '.join(sorted(MUST_BE_SIGNED))}")
    body_hash = hashlib.sha256(request.body).hexdigest()
    if not hmac.compare_digest(request.headers.get("x-content-sha256", ""), body_hash):
        raise GatewayError("SignatureDoesNotMatch", "X-Content-Sha256 is not the hash of the body")
    expected = (
        sign(text, scope, request.headers["x-date"], credentials) for text in canonical_requests(request, signed)
    )
    if not any(hmac.compare_digest(signature, candidate) for candidate in expected):
        raise GatewayError("SignatureDoesNotMatch", "The request signature we calculated does not match the one given")


def parse_authorization(header: str | None) -> tuple[Scope, list[str], str]:
    """
    Scope, signed header names as listed, and signature of an Authorization header.

    Raises:
        GatewayError: It is absent or malformed.
    """
    if not header:
        raise GatewayError("MissingAuthenticationToken", "Authorization is missing")
    match = AUTHORIZATION.fullmatch(header)
    if match is None:
        raise GatewayError("InvalidAuthorization", "Authorization is malformed")
    credential, names, signature = match.groups()
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "request":
        raise GatewayError("InvalidCredential", "Credential is not <key>/<date>/<region>/<service>/request")
    scope = Scope(access_key=parts[0], date=parts[1], region=parts[2], service=parts[3])
    return scope, names.split(";"), signature


def _check_time(headers: Mapping[str, str], scope: Scope, *, now: datetime, skew_s: float) -> None:
    stamp = headers.get("x-date")
    if stamp is None:
        raise GatewayError("MissingRequestInfo", "X-Date is missing")
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise GatewayError("InvalidTimestamp", "X-Date is not YYYYMMDDTHHMMSSZ") from error
    if abs((now - signed_at).total_seconds()) > skew_s:
        raise GatewayError("InvalidTimestamp", "X-Date is too far from now")
    if scope.date != stamp[:8]:
        raise GatewayError("InvalidCredential", "the date of Credential is not the one of X-Date")


def _check_scope(scope: Scope, credentials: Credentials) -> None:
    if scope.service != "cv":
        raise GatewayError("ServiceNotFound", f"service {scope.service} is not known")
    if scope.region != "cn-north-1":
        raise GatewayError("InvalidCredential", f"region {scope.region} is not served")
    if scope.access_key != credentials.access_key:
        raise GatewayError("InvalidAccessKey", "the access key is not known")


def _check_token(headers: Mapping[str, str], signed: list[str], credentials: Credentials) -> None:
    token = headers.get("x-security-token")
    if token != credentials.session_token:
        raise GatewayError("InvalidSecretToken", "X-Security-Token does not belong to the access key")
    if token is not None and "x-security-token" not in signed:
        raise GatewayError("SignatureDoesNotMatch", "X-Security-Token is not signed")


def canonical_query(query: str) -> str:
    """The query decoded (clients send forms, with `+` for a space), sorted by key and encoded again."""
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote(key, safe='-_.~')}={quote(value, safe='-_.~')}" for key, value in pairs)


def canonical_requests(request: SignedRequest, signed: list[str]) -> list[str]:
    """The texts that may have been signed, with and without a default port in the host."""
    hosts = [request.headers.get("host", "")]
    bare, _, port = hosts[0].rpartition(":")
    if port in {"80", "443"} and bare:
        hosts.insert(0, bare)
    return [_canonical_request(request, signed, host) for host in hosts]


def _canonical_request(request: SignedRequest, signed: list[str], host: str) -> str:
    values = {**request.headers, "host": host}
    if missing := [name for name in signed if name not in values]:
        raise GatewayError("MissingRequestInfo", f"signed header {missing[0]} is missing")
    lines = "".join(f"{name}:{values[name]}\n" for name in sorted(signed))
    body_hash = hashlib.sha256(request.body).hexdigest()
    path, query = request.path or "/", canonical_query(request.query)
    return "\n".join([request.method, path, query, lines, ";".join(sorted(signed)), body_hash])


def sign(canonical_request: str, scope: Scope, x_date: str, credentials: Credentials) -> str:
    """The signature, 64 hex digits. The secret key is used as it is, without a prefix and without decoding."""
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    text = "\n".join(["HMAC-SHA256", x_date, str(scope), digest])
    key = credentials.secret_key.encode()
    for part in (scope.date, scope.region, scope.service, "request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()
