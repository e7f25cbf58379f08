"""Authentication: the caller of a request, by Bearer secret, Volcengine's HMAC-SHA256 or AWS SigV4."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import structlog

from core.callers import Caller
from core.clock import Clock
from core.errors import InvalidSignature, KeyExpired, KeyRevoked, Unauthenticated
from core.keys import ApiKey, KeyState
from core.vault import NotReadable, Vault
from polyrelay import Secret
from services.access.key_cache import KeyCache
from services.access.request_signatures import SignedRequest, is_signature, is_valid_signature, read_signature

ReadBody = Callable[[], Awaitable[bytes]]

WAYS: Final = (
    "send `Authorization: Bearer <secret of a key>`, or sign the request as Volcengine's or AWS's clients do "
    "(HMAC-SHA256, AWS4-HMAC-SHA256)"
)
_NO_FIT: Final = "the access key does not exist, or the signature does not match its secret and this request"
_LONGEST_ACCESS_KEY: Final = 128
_NOBODYS: Final = Secret("sk_of_nobody")

log = structlog.get_logger(__name__)


class Authenticate:
    """
    Finds out who the caller of a request is.

    Args:
        key_cache: The API keys.
        vault: Decrypts their secrets, which are needed to verify signatures.
        clock: Time.
    """

    def __init__(self, key_cache: KeyCache, vault: Vault, clock: Clock) -> None:
        self._key_cache = key_cache
        self._vault = vault
        self._clock = clock

    async def __call__(self, request: SignedRequest, read_body: ReadBody) -> Caller:
        """
        The caller. The body is read only if the key that the request names exists and the signature is otherwise valid.

        Raises:
            Unauthenticated: Or a subclass; says what is wrong. The state of a key is reported only with a valid secret.
            StoreUnavailable: API keys cannot be read.
        """
        authorization = request.headers.get("authorization", "")
        if is_signature(authorization):
            return await self._signed(request, read_body)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return await self._bearer(Secret(token.strip()))
        raise Unauthenticated(
            f"{'Authorization has an unknown form' if authorization else 'no Authorization was sent'}; {WAYS}"
        )

    async def _bearer(self, secret: Secret) -> Caller:
        key = await self._key_cache.of_secret(secret)
        if key is None or not key.fits(secret):
            raise Unauthenticated("no API key has that secret")
        _refuse_ended(key, self._clock())
        return key.caller()

    async def _signed(self, request: SignedRequest, read_body: ReadBody) -> Caller:
        presented = read_signature(request, now=self._clock())
        key = await self._of_access_key(presented.access_key)
        secret = self._secret_of(key)
        body_hash = presented.body_hash
        if body_hash is None and key is not None:
            body_hash = _sha256(await read_body())
        # Over the stated hash, if there is one: an unknown caller cannot make the server read a body.
        if body_hash is None or not is_valid_signature(presented, request, secret, body_hash=body_hash) or key is None:
            raise InvalidSignature(_NO_FIT)
        if presented.body_hash is not None and presented.body_hash != _sha256(await read_body()):
            raise InvalidSignature("the body is not the one whose SHA-256 was signed")
        _refuse_ended(key, self._clock())
        return key.caller(replay=presented.fingerprint)

    async def _of_access_key(self, access_key: str) -> ApiKey | None:
        if len(access_key) > _LONGEST_ACCESS_KEY:
            return None
        return await self._key_cache.of_access_key(access_key)

    def _secret_of(self, key: ApiKey | None) -> Secret:
        """Its secret; without a key one that matches nothing, so that both cases take the same time."""
        if key is None:
            return _NOBODYS
        try:
            return self._vault.open(key.sealed, of=key.id)
        except NotReadable as error:
            log.critical("secret_unreadable", key_id=key.id, reason=str(error))
            raise InvalidSignature(_NO_FIT) from error


def _refuse_ended(key: ApiKey, now: datetime) -> None:
    match key.state(now):
        case KeyState.REVOKED:
            raise KeyRevoked(f"the key {key.id} was revoked")
        case KeyState.EXPIRED:
            raise KeyExpired(f"the key {key.id} expired at {key.expires_at:%Y-%m-%dT%H:%M:%SZ}")


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
