"""Signed links to files: a picture on a page cannot send a header, so its address says that it may be fetched."""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import parse_qs

from core.callers import Caller, Role

LIVES_S: Final = 24 * 3600
"""A link is good for that long, and up to an hour more: so it stays the same for an hour, and can be cached."""

LINK_HOLDER: Final = Caller(role=Role.OPERATOR)
"""Who fetches a file by its link. Whoever handed the link out may see the task; the link names that one file."""

_HOUR_S: Final = 3600
_LONGEST_QUERY: Final = 400


class SignedLinks:
    """
    Signs links and knows its own again.

    Args:
        keys: The first signs, all verify. Without any, links are plain: nobody is asked who they are.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def query(self, path: str, *, now: datetime) -> str:
        """What to put behind a path, such as "?expires=1767322800&signature=…"."""
        if not self._keys:
            return ""
        expires = (int(now.timestamp()) // _HOUR_S + 1) * _HOUR_S + LIVES_S
        return f"?expires={expires}&signature={_signature(self._keys[0], path, str(expires))}"

    def good(self, path: str, query: bytes, *, now: datetime) -> bool:
        """Whether that is a link of ours, and still good."""
        given = parse_qs(query[:_LONGEST_QUERY].decode("latin-1"))
        expires, signature = given.get("expires", [""])[-1], given.get("signature", [""])[-1]
        if not (expires.isascii() and expires.isdecimal() and signature.isascii()):
            return False
        ours = [hmac.compare_digest(signature, _signature(key, path, expires)) for key in self._keys]
        return any(ours) and now.timestamp() < int(expires)


def is_link(query: bytes) -> bool:
    """Whether that is the query of a signed link, good or not."""
    return b"expires=" in query


def _signature(key: bytes, path: str, expires: str) -> str:
    digest = hmac.digest(key, f"{path}\n{expires}".encode("utf-8", "surrogatepass"), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
