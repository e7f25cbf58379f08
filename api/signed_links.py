"""Signed links to result files: an image on a web page cannot send a header, so its URL carries the permission."""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import parse_qs

from core.callers import Caller, Role

LIVES_S: Final = 24 * 3600
"""A link is valid for this time, in seconds, and up to an hour more: it stays the same for an hour, to be cached."""

LINK_HOLDER: Final = Caller(role=Role.OPERATOR)
"""The caller who uses a link. Whoever created the link may see the task; the link is for that one file only."""

_HOUR_S: Final = 3600
_LONGEST_QUERY: Final = 400


class SignedLinks:
    """
    Signs links and verifies them.

    Args:
        keys: The first signs, all verify. Without keys links are not signed: with `AUTH=none` callers are not checked.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def query(self, path: str, *, now: datetime) -> str:
        """The query that signs a path, such as "?expires=1767322800&signature=…"; empty without keys."""
        if not self._keys:
            return ""
        expires = (int(now.timestamp()) // _HOUR_S + 1) * _HOUR_S + LIVES_S
        return f"?expires={expires}&signature={_signature(self._keys[0], path, str(expires))}"

    def is_valid(self, path: str, query: bytes, *, now: datetime) -> bool:
        """Whether a link has a valid signature and has not expired."""
        given = parse_qs(query[:_LONGEST_QUERY].decode("latin-1"))
        expires, signature = given.get("expires", [""])[-1], given.get("signature", [""])[-1]
        if not (expires.isascii() and expires.isdecimal() and signature.isascii()):
            return False
        ours = [hmac.compare_digest(signature, _signature(key, path, expires)) for key in self._keys]
        return any(ours) and now.timestamp() < int(expires)


def is_link(query: bytes) -> bool:
    """Whether that is the query of a signed link, valid or not."""
    return b"expires=" in query


def _signature(key: bytes, path: str, expires: str) -> str:
    digest = hmac.digest(key, f"{path}\n{expires}".encode("utf-8", "surrogatepass"), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
