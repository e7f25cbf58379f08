"""
Request signing for Volcengine OpenAPI (HMAC-SHA256).

Source: `SignerV4` of the official packages volcengine 1.0.229 and volcenginesdk-core 5.0.54, read and run on
2026-11-22. It differs from AWS SigV4 in names, has no key prefix, and encodes the path once.
"""

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

import httpx
from msgspec import Struct

from core.request_signing import canonical_path, canonical_query, canonical_request, signature, without_default_port
from polyrelay import Secret

REGION: Final = "cn-north-1"
SERVICE: Final = "cv"
_ALGORITHM: Final = "HMAC-SHA256"
_DEFAULT_CONTENT_TYPE: Final = "application/x-www-form-urlencoded; charset=utf-8"
_PLAIN_HEADERS: Final = frozenset({"content-type", "content-md5", "host"})


class Credentials(Struct, frozen=True, kw_only=True):
    """
    Credentials of a Volcengine account.

    Attributes:
        access_key: Key id; sent unencrypted in the request.
        secret_key: Used as it is: without a prefix and not decoded.
        session_token: Belongs to temporary keys; sent and signed.
    """

    access_key: Secret
    secret_key: Secret
    session_token: Secret | None = None
    region: str = REGION
    service: str = SERVICE


class Unsigned(Struct, frozen=True, kw_only=True):
    """
    A request before it is signed.

    Attributes:
        path: Decoded; empty counts as "/".
        query: Decoded pairs in any order.
        headers: All headers of the request so far, including `Host`.
        body: The exact bytes that will be sent.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


def signature_headers(request: Unsigned, credentials: Credentials, *, at: datetime) -> dict[str, str]:
    """The headers to add to sign the request. `at` is the time of the signature, aware."""
    added = _headers_to_sign(request, credentials, at)
    signed = _signed_headers({**request.headers, **added})
    scope = f"{at.astimezone(UTC):%Y%m%d}/{credentials.region}/{credentials.service}/request"
    proof = signature(
        canonical_text(request, signed),
        credentials.secret_key,
        algorithm=_ALGORITHM,
        stamp=added["X-Date"],
        scope=scope,
    )
    credential = f"{credentials.access_key.reveal()}/{scope}"
    added["Authorization"] = (
        f"{_ALGORITHM} Credential={credential}, SignedHeaders={';'.join(signed)}, Signature={proof}"
    )
    return added


def canonical_text(request: Unsigned, signed: Mapping[str, str]) -> str:
    """The text whose hash is signed. `signed` has the headers to sign, in order, including the hash of the body."""
    path, query = canonical_path(request.path), canonical_query(request.query)
    return canonical_request(request.method, path, query, signed, signed["x-content-sha256"])


class VolcengineAuth(httpx.Auth):
    """
    Signs each request of an httpx client.

    Args:
        credentials: Credentials of the account.
        clock: Returns the present time, aware.
    """

    requires_request_body = True

    def __init__(self, credentials: Credentials, *, clock: Callable[[], datetime] | None = None) -> None:
        self._credentials = credentials
        self._clock = clock or (lambda: datetime.now(UTC))

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the headers of the signature."""
        unsigned = Unsigned(
            method=request.method,
            path=request.url.path,
            query=parse_qsl(request.url.query.decode("ascii"), keep_blank_values=True),
            headers=dict(request.headers),
            body=request.content,
        )
        request.headers.update(signature_headers(unsigned, self._credentials, at=self._clock()))
        yield request


def _headers_to_sign(request: Unsigned, credentials: Credentials, at: datetime) -> dict[str, str]:
    added = {
        "X-Date": f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        "X-Content-Sha256": hashlib.sha256(request.body).hexdigest(),
    }
    if credentials.session_token is not None:
        added["X-Security-Token"] = credentials.session_token.reveal()
    if request.method.upper() != "GET" and not any(name.lower() == "content-type" for name in request.headers):
        added["Content-Type"] = _DEFAULT_CONTENT_TYPE
    return added


def _signed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    lowered = {name.lower(): value for name, value in headers.items()}
    signed = {name: value for name, value in sorted(lowered.items()) if name in _PLAIN_HEADERS or name.startswith("x-")}
    return {**signed, "host": without_default_port(signed["host"])}
