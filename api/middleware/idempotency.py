"""The header `Idempotency-Key`."""

import hashlib
import re
from typing import Final

from litestar.types import Scope

from api.dependencies import use_cases_in
from api.problems import field_problem
from api.roles import caller_in
from core.tasks import Idempotency
from core.validation import shown
from services.tasks.idempotency import HEADER

REPLAYED: Final = "Idempotency-Replayed"

KEY: Final = r"^[\x21-\x7e]{1,255}$"

_ALLOWED: Final = re.compile(KEY)


def same_in(scope: Scope, route: str, body: bytes) -> Idempotency | None:
    """
    What makes this request the same as another one, where its caller sent a key.

    Args:
        route: What is created; the same key for something else is another key.
        body: As it came.

    Raises:
        InvalidRequest: The header is not what it may be, or comes more than once.
    """
    keys = [value.decode("latin-1") for name, value in scope["headers"] if name == b"idempotency-key"]
    if not keys:
        return None
    if len(keys) > 1 or _ALLOWED.fullmatch(keys[0]) is None:
        message = "Allowed: 1 to 255 visible ASCII characters, in one header."
        raise field_problem(HEADER, message, shown(", ".join(keys)))
    body_hash = hashlib.sha256(body).hexdigest()
    return use_cases_in(scope).once.same(keys[0], caller=caller_in(scope), route=route, body_hash=body_hash)
