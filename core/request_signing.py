"""
Request signatures of Volcengine OpenAPI and AWS (SigV4): the parts that signing and verification share.

Sources: `SignerV4` of the official packages volcengine 1.0.229 and volcenginesdk-core 5.0.54, read and run on
2026-11-22; `botocore.auth` of botocore 1.44.8, read and run on 2026-11-25.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from polyrelay import Secret

UNDECODABLE: Final = "surrogateescape"
"""Error handler that preserves bytes that are not UTF-8 when they are decoded and encoded again."""


def canonical_query(pairs: Sequence[tuple[str, str]]) -> str:
    """The query as it is signed: decoded pairs, sorted and encoded."""
    return "&".join(f"{encoded(key)}={encoded(value)}" for key, value in sorted(pairs))


def canonical_path(path: str) -> str:
    """The path as it is signed: a decoded path, encoded; an empty path counts as "/"."""
    return quote(path or "/", safe="/~", errors=UNDECODABLE)


def canonical_request(method: str, path: str, query: str, signed: Mapping[str, str], body_hash: str) -> str:
    """The text whose hash is signed. `signed` has the headers to sign, in order."""
    return "\n".join(
        (
            method.upper(),
            path,
            query,
            "".join(f"{name}:{value}\n" for name, value in signed.items()),
            ";".join(signed),
            body_hash,
        )
    )


def signature(canonical: str, secret_key: Secret, *, algorithm: str, stamp: str, scope: str, prefix: str = "") -> str:
    """
    The signature, 64 hex digits.

    Args:
        canonical: The text from `canonical_request`.
        secret_key: Used as it is, not decoded.
        stamp: The time in the form of the date header.
        scope: Such as "20260102/cn-north-1/cv/request".
        prefix: Put before the secret key; "AWS4" for AWS.
    """
    digest = hashlib.sha256(canonical.encode("utf-8", UNDECODABLE)).hexdigest()
    key = (prefix + secret_key.reveal()).encode()
    for part in (*scope.split("/"), "\n".join((algorithm, stamp, scope, digest))):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def without_default_port(host: str) -> str:
    """The host as it is signed: without the default port."""
    return host.removesuffix(":443").removesuffix(":80")


def encoded(text: str) -> str:
    """A key or value of a query, percent-encoded."""
    return quote(text, safe="~", errors=UNDECODABLE)
