"""
Request signatures: verification of Volcengine's HMAC-SHA256 and AWS SigV4. Pure: the caller finds the key and reads the
body.

Clients differ in default ports, in how they encode a path and in how they sort a query. So each form in which an
official signer may have written the request is tried; each form identifies the same request.
"""

import hashlib
import hmac
import itertools
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, quote

from msgspec import Struct

from core.errors import ClockSkew, InvalidSignature
from core.request_signing import (
    UNDECODABLE,
    canonical_path,
    canonical_query,
    canonical_request,
    encoded,
    signature,
    without_default_port,
)
from polyrelay import Secret

MOST_SKEW: Final = timedelta(minutes=5)
SPENT_FOR: Final = 2 * MOST_SKEW + timedelta(minutes=1)
"""How long a used signature is stored: longer than it can be valid."""
_AUTHORIZATION: Final = re.compile(
    r"(?P<algorithm>(?:AWS4-)?HMAC-SHA256) +Credential=(?P<credential>[!-+\--~]+) *, *"
    r"SignedHeaders=(?P<signed>[!-+\--~]+) *, *Signature=(?P<signature>[0-9a-f]{64})"
)
_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_STAMP: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class _Dialect(Struct, frozen=True, kw_only=True):
    """What differs between the two algorithms: names, the prefix of the secret, and the end of the scope."""

    algorithm: str
    ending: str
    prefix: str
    dates: tuple[str, ...]
    body_hashes: tuple[str, ...]
    hash_is_a_header: bool
    example: str


_DIALECTS: Final = {
    dialect.algorithm: dialect
    for dialect in (
        _Dialect(
            algorithm="HMAC-SHA256",
            ending="request",
            prefix="",
            dates=("x-date",),
            body_hashes=("x-content-sha256",),
            hash_is_a_header=True,
            example="<access key>/<date>/<region>/<service>/request",
        ),
        _Dialect(
            algorithm="AWS4-HMAC-SHA256",
            ending="aws4_request",
            prefix="AWS4",
            dates=("x-amz-date", "x-date"),
            body_hashes=("x-amz-content-sha256", "x-content-sha256"),
            hash_is_a_header=False,
            example="<access key>/<date>/<region>/<service>/aws4_request",
        ),
    )
}


class SignedRequest(Struct, frozen=True, kw_only=True):
    """
    A request as it was received, without its body.

    Attributes:
        path: Decoded.
        raw_path: As received.
        query: As received, without the question mark.
        headers: Names in lower case; repeated headers are joined by commas.
    """

    method: str
    path: str
    raw_path: str
    query: str
    headers: Mapping[str, str]


class RequestSignature(Struct, frozen=True, kw_only=True):
    """
    The signature of a request, as its headers state it; not verified yet.

    Attributes:
        scope: Such as "20260102/cn-north-1/cv/request".
        signed: Names of the signed headers, sorted.
        stamp: When it was signed, as the date header has it.
        body_hash: The stated SHA-256 of the body, or None where no header states it.
    """

    algorithm: str
    access_key: str
    scope: str
    signed: tuple[str, ...]
    signature: str
    stamp: str
    body_hash: str | None

    @property
    def fingerprint(self) -> str:
        """Identifies the signed request: a repetition has the same, no other request has."""
        return hashlib.sha256(f"{self.access_key} {self.signature}".encode()).hexdigest()


def is_signature(authorization: str) -> bool:
    """Whether that is the `Authorization` of a signed request, well-formed or not."""
    return authorization.partition(" ")[0] in _DIALECTS


def read_signature(request: SignedRequest, *, now: datetime) -> RequestSignature:
    """
    Read the signature from the request's headers.

    Raises:
        InvalidSignature: It is malformed, or a required header is not signed; says which.
        ClockSkew: The time of signing differs too much from now.
    """
    match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        form = "Credential=<credential>, SignedHeaders=<a;b;c>, Signature=<64 hex digits>"
        raise InvalidSignature(f"Authorization is not <algorithm> {form}")
    dialect = _DIALECTS[match["algorithm"]]
    access_key, _, scope = match["credential"].partition("/")
    signed = _signed_names(match["signed"])
    stamp = request.headers[_signed_one(dialect.dates, signed, request.headers)]
    _check_time(stamp, now)
    _check_scope(scope, stamp, dialect)
    return RequestSignature(
        algorithm=dialect.algorithm,
        access_key=access_key,
        scope=scope,
        signed=signed,
        signature=match["signature"],
        stamp=stamp,
        body_hash=_claimed_hash(request.headers, signed, dialect),
    )


def is_valid_signature(presented: RequestSignature, request: SignedRequest, secret: Secret, *, body_hash: str) -> bool:
    """Whether the signature was made with that secret. The time does not depend on how much of it matches."""
    dialect = _DIALECTS[presented.algorithm]
    expected = (
        signature(
            canonical_request(request.method, path, query, signed, body_hash),
            secret,
            algorithm=presented.algorithm,
            stamp=presented.stamp,
            scope=presented.scope,
            prefix=dialect.prefix,
        )
        for path, query, signed in itertools.product(
            _paths(request, dialect), _queries(request, dialect), _signed_headers(presented, request, dialect)
        )
    )
    return any(hmac.compare_digest(presented.signature, candidate) for candidate in expected)


def _signed_names(text: str) -> tuple[str, ...]:
    names = text.split(";")
    if len(set(names)) < len(names) or not all(map(_HEADER_NAME.fullmatch, names)):
        raise InvalidSignature("SignedHeaders is not a list of different names in lower case, such as host;x-date")
    if "host" not in names:
        raise InvalidSignature("SignedHeaders must list host")
    return tuple(sorted(names))


def _signed_one(wanted: Iterable[str], signed: tuple[str, ...], headers: Mapping[str, str]) -> str:
    for name in wanted:
        if name in signed and name in headers:
            return name
    raise InvalidSignature(f"the header {' or '.join(wanted)} is required, and must be in SignedHeaders")


def _check_scope(scope: str, stamp: str, dialect: _Dialect) -> None:
    parts = scope.split("/")
    if len(parts) != 4 or not all(parts) or parts[3] != dialect.ending:
        raise InvalidSignature(f"Credential is not {dialect.example}")
    if parts[0] != stamp[:8]:
        raise InvalidSignature("the date in Credential differs from the date header")


def _check_time(stamp: str, now: datetime) -> None:
    try:
        if _STAMP.fullmatch(stamp) is None:
            raise ValueError(stamp)
        at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidSignature("the date header is not YYYYMMDDTHHMMSSZ, in UTC") from error
    if abs(now - at) > MOST_SKEW:
        off_s = round((at - now).total_seconds())
        raise ClockSkew(
            f"the request is dated {stamp}; it is {now:%Y%m%dT%H%M%SZ} here, {abs(off_s)} s "
            f"{'earlier' if off_s > 0 else 'later'}, and {MOST_SKEW.total_seconds():g} s are allowed; set your clock"
        )


def _claimed_hash(headers: Mapping[str, str], signed: tuple[str, ...], dialect: _Dialect) -> str | None:
    found = [name for name in dialect.body_hashes if name in signed and name in headers]
    if not found:
        if dialect.hash_is_a_header:
            _signed_one(dialect.body_hashes, signed, headers)
        return None
    claimed = headers[found[0]]
    if _SHA256.fullmatch(claimed) is None:
        raise InvalidSignature(f"the header {found[0]} is not the SHA-256 of the body, in lower-case hex digits")
    return claimed


def _paths(request: SignedRequest, dialect: _Dialect) -> set[str]:
    """AWS's signers encode the sent path once more."""
    raw = request.raw_path or "/"
    again = {quote(raw, safe="/~", errors=UNDECODABLE)} if dialect.prefix else set()
    return {canonical_path(request.path), raw, *again}


def _queries(request: SignedRequest, dialect: _Dialect) -> set[str]:
    """Sorted before or after encoding; AWS's signers take the pairs as they are sent."""
    pairs = parse_qsl(request.query, keep_blank_values=True, errors=UNDECODABLE)
    after = sorted((encoded(key), encoded(value)) for key, value in pairs)
    queries = {canonical_query(pairs), "&".join(f"{key}={value}" for key, value in after)}
    if dialect.prefix:
        wire = sorted(part.partition("=")[::2] for part in request.query.split("&") if part)
        queries.add("&".join(f"{key}={value}" for key, value in wire))
    return queries


def _signed_headers(presented: RequestSignature, request: SignedRequest, dialect: _Dialect) -> list[dict[str, str]]:
    """The signed headers in order, once for each way to write the host."""
    missing = [name for name in presented.signed if name not in request.headers]
    if missing:
        raise InvalidSignature(f"the header {missing[0]} is in SignedHeaders but was not sent")
    values = {name: request.headers[name] for name in presented.signed}
    if dialect.prefix:
        values = {name: " ".join(value.split()) for name, value in values.items()}
    hosts = dict.fromkeys((values["host"], without_default_port(values["host"])))
    return [{**values, "host": host} for host in hosts]
