"""Finding out who calls: what is read, and what is not."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as AwsCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from core.callers import Caller
from core.clock import utc_now
from core.errors import InvalidSignature, Unauthenticated
from core.vault import Vault
from polyrelay import Secret
from services.access.api_keys import ApiKeys, KeyOrder, NewKey
from services.access.authentication import Authenticate
from services.access.key_cache import KeyCache
from services.access.request_signatures import SignedRequest
from services.vendors.jimeng.signing import Credentials, Unsigned, signature_headers
from tests.fakes.access import MemoryKeys

Sign = Callable[..., dict[str, str]]

BODY: Final = b'{"prompt": "a fox"}'
VAULT: Final = Vault([bytes(32)])


class Scene:
    """A server's side of it, and how often a body was read."""

    def __init__(self) -> None:
        self.keys = MemoryKeys()
        self.authenticate = Authenticate(KeyCache(self.keys), VAULT, utc_now)
        self.read = 0

    async def key(self) -> NewKey:
        """A stored key."""
        return await ApiKeys(self.keys, VAULT, utc_now).create(KeyOrder())

    async def body(self) -> bytes:
        """The body that comes."""
        self.read += 1
        return BODY

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        """Who sends that request."""
        lowered = {name.lower(): value for name, value in headers.items()}
        request = SignedRequest(method="POST", path="/", raw_path="/", query="", headers={"host": "h", **lowered})
        return await self.authenticate(request, self.body)


@pytest.fixture
def scene() -> Scene:
    """Without any key."""
    return Scene()


def volcengine(access_key: str, secret: Secret, body: bytes = BODY) -> dict[str, str]:
    """The headers of a request that is signed as Volcengine's clients sign."""
    unsigned = Unsigned(method="POST", path="/", query=[], headers={"Host": "h"}, body=body)
    credentials = Credentials(access_key=Secret(access_key), secret_key=secret)
    return signature_headers(unsigned, credentials, at=datetime.now(UTC))


def aws(access_key: str, secret: Secret, body: bytes = BODY) -> dict[str, str]:
    """The headers of a request that AWS's client signed."""
    request = AWSRequest("POST", "http://h/", {}, body)
    SigV4Auth(AwsCredentials(access_key, secret.reveal()), "cv", "cn-north-1").add_auth(request)
    return dict(request.headers.items())


@pytest.mark.parametrize("sign", [volcengine, aws])
async def test_a_valid_signature_identifies_the_caller(scene: Scene, sign: Sign) -> None:
    """The key, its owner, and the fingerprint of the request; the body is read once."""
    made = await scene.key()
    caller = await scene.caller(sign(made.key.access_key, made.secret))

    assert (caller.key_id, caller.owner) == (made.key.id, made.key.owner)
    assert caller.replay is not None
    assert scene.read == 1


async def test_a_bearer_needs_no_body_and_has_nothing_to_replay(scene: Scene) -> None:
    """The secret is the whole proof."""
    made = await scene.key()
    caller = await scene.caller({"Authorization": f"bearer {made.secret.reveal()}"})

    assert (caller.key_id, caller.replay, scene.read) == (made.key.id, None, 0)


@pytest.mark.parametrize("sign", [volcengine, aws])
async def test_a_body_is_not_read_for_an_unknown_key(scene: Scene, sign: Sign) -> None:
    """The body may be large, and callers without a key may send many."""
    with pytest.raises(InvalidSignature):
        await scene.caller(sign("ak_unknown", Secret("sk_x")))
    assert scene.read == 0


async def test_a_wrong_secret_is_seen_before_the_body(scene: Scene) -> None:
    """Volcengine's clients send the body's hash, which is what is signed."""
    made = await scene.key()

    with pytest.raises(InvalidSignature):
        await scene.caller(volcengine(made.key.access_key, Secret("sk_x")))
    assert scene.read == 0


@pytest.mark.parametrize("sign", [volcengine, aws])
async def test_another_body_than_the_signed_one_is_refused(scene: Scene, sign: Sign) -> None:
    """Whether its hash is in a header or not."""
    made = await scene.key()

    with pytest.raises(InvalidSignature):
        await scene.caller(sign(made.key.access_key, made.secret, BODY + b" "))


async def test_each_request_has_its_own_mark(scene: Scene) -> None:
    """The mark is a hash: the signature is not kept."""
    made = await scene.key()
    headers = volcengine(made.key.access_key, made.secret)
    first, second = (await scene.caller(headers)).replay, (await scene.caller(headers)).replay

    assert first == second
    assert first is not None
    assert len(bytes.fromhex(first)) == hashlib.sha256().digest_size
    assert first not in headers["Authorization"]


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=300), st.text(max_size=200).map(lambda text: f"Bearer {text}")))
async def test_any_authorization_header_is_refused_without_an_error(text: str) -> None:
    """Never anything else."""
    with pytest.raises(Unauthenticated):
        await Scene().caller({"Authorization": text})
