"""The error statuses that the scripted vendor answers, and their bodies."""

from collections.abc import Iterator
from typing import Final

from polyrelay.testing.talks import Reply, Talk

REFUSED: Final = (400, 401, 403, 404, 422)
SERVER_ERRORS: Final = (500, 502, 503, 504)
_PAGE: Final = b"<html><body><h1>Error</h1>a gateway wrote this</body></html>"


def bodies_of(status: int, talk: Talk) -> Iterator[tuple[str, Reply]]:
    """
    An error of that status without a body, with a gateway's page and with JSON of an unknown shape.

    A status of 429 has `Retry-After: 7`.
    """
    headers = {"retry-after": "7"} if status == 429 else {}
    yield "no body", Reply(status=status, headers=headers)
    yield "a gateway's page", Reply(status=status, body=_PAGE, headers={**headers, "content-type": "text/html"})
    yield "JSON of an unknown shape", Reply(status=status, json={"oops": [talk.model]}, headers=headers)
