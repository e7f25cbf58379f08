"""
Signs requests as Volcengine OpenAPI wants them (HMAC-SHA256).

Source: `SignerV4` of the official packages volcengine 1.0.229 and volcenginesdk-core 5.0.54, read and run on
2026-11-22. It is close to AWS SigV4, with other names, no key prefix and a path that is encoded once.
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
    Who signs.

    Attributes:
        access_key: Key id; it is sent in the clear.
        secret_key: Used as the text that it is: no prefix, not decoded.
        session_token: Comes with temporary keys; sent and signed.
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
        headers: Those that the request has so far, `Host` among them.
        body: The exact bytes that will be sent.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


def signature_headers(request: Unsigned, credentials: Credentials, *, at: datetime) -> dict[str, str]:
    """The headers to add so that the request is signed at that moment (aware)."""
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
    """The text whose hash is signed. `signed` has the headers to sign, in order, with the body's hash among them."""
    path, query = canonical_path(request.path), canonical_query(request.query)
    return canonical_request(request.method, path, query, signed, signed["x-content-sha256"])


class VolcengineAuth(httpx.Auth):
    """
    Signs each request of an httpx client.

    Args:
        credentials: Who signs.
        clock: Answers the present moment, aware.
    """

    requires_request_body = True

    def __init__(self, credentials: Credentials, *, clock: Callable[[], datetime] | None = None) -> None:
        self._credentials = credentials
        self._clock = clock or (lambda: datetime.now(UTC))

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the signature's headers."""
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
