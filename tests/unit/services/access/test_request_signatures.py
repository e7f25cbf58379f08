"""Signed requests are verified as the official signers sign them."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as AwsCredentials
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from volcengine.auth.SignerV4 import SignerV4
from volcengine.base.Request import Request
from volcengine.Credentials import Credentials as OfficialCredentials
from volcenginesdkcore.signv4 import SignerV4 as CoreSignerV4

from core.errors import ClockSkew, InvalidSignature
from polyrelay import Secret
from services.access.request_signatures import SignedRequest, is_signature, is_valid_signature, read_signature
from services.vendors.jimeng.signing import Credentials, Unsigned, signature_headers

VECTORS: Final[list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[3] / "data" / "signing-vectors.json").read_text("utf-8")
)
VECTOR_SECRET: Final = Secret("VGVzdFNlY3JldEtleUZvckdvbGRlblZlY3RvcnMwMDE=")
ACCESS_KEY: Final = "ak_mfrggzdfmztwq2lk"
SECRET: Final = Secret("sk_mfrggzdfmztwq2lkmfrggzdfmztwq2lkmfrggzdf")
BODY: Final = '{"prompt": "一只橘猫"}'.encode()
QUERY: Final = {"Action": "CVSync2AsyncSubmitTask", "Version": "2022-08-31"}
SUBMIT: Final = "Action=CVSync2AsyncSubmitTask&Version=2022-08-31"


def received(
    method: str, target: str, headers: Mapping[str, str], *, host: str = "127.0.0.1:8080", path: str | None = None
) -> SignedRequest:
    """A request as it comes out of the server."""
    parts = urlsplit(target)
    lowered = {name.lower(): str(value).strip() for name, value in headers.items()}
    return SignedRequest(
        method=method,
        path=parts.path if path is None else path,
        raw_path=parts.path,
        query=parts.query,
        headers={"host": host, **lowered},
    )


def accepted(request: SignedRequest, body: bytes, *, secret: Secret = SECRET, now: datetime | None = None) -> bool:
    """Whether the request is let in: what it claims, its body, and its signature."""
    presented = read_signature(request, now=now or datetime.now(UTC))
    body_hash = hashlib.sha256(body).hexdigest()
    return presented.body_hash in {None, body_hash} and is_valid_signature(
        presented, request, secret, body_hash=body_hash
    )


def by_volcengine(
    query: Mapping[str, str] = QUERY, body: bytes = BODY, *, host: str = "127.0.0.1:8080", path: str = "/"
) -> tuple[SignedRequest, bytes]:
    """A request that the vendor's Python client signed, with what it sends."""
    request = Request()
    request.set_shema("http")
    request.set_method("POST")
    request.set_host(host)
    request.set_path(path)
    request.set_query(dict(query))
    request.set_headers({"Content-Type": "application/json", "Host": host})
    request.set_body(body.decode())
    SignerV4.sign(request, OfficialCredentials(ACCESS_KEY, SECRET.reveal(), "cv", "cn-north-1"))
    target = request.build()
    return received("POST", target.removeprefix(f"http://{host}"), request.headers, host=host), body


def by_volcengine_core(headers: Mapping[str, str], body: bytes = BODY) -> SignedRequest:
    """A request that the vendor's newer client signed, with those further headers."""
    sent = {"Content-Type": "application/json", "Host": "127.0.0.1:8080", **headers}
    CoreSignerV4.sign(
        "/", "POST", sent, body.decode(), [], dict(QUERY), ACCESS_KEY, SECRET.reveal(), "cn-north-1", "cv"
    )
    return received("POST", f"/?{SUBMIT}", sent)


def by_botocore(
    target: str = "/v1/submit",
    body: bytes = BODY,
    headers: Mapping[str, str] | None = None,
    signer: type[SigV4Auth] = SigV4Auth,
    host: str = "127.0.0.1:8080",
) -> SignedRequest:
    """A request that AWS's Python client signed."""
    request = AWSRequest("POST", f"http://{host}{target}", dict(headers or {}), body)
    signer(AwsCredentials(ACCESS_KEY, SECRET.reveal()), "cv", "cn-north-1").add_auth(request)
    return received("POST", target, dict(request.headers.items()), host=host)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"][:2] for vector in VECTORS])
def test_recorded_requests_of_both_official_signers_fit(vector: dict[str, Any]) -> None:
    """With the query as it was sent, the token, the port, and without a path."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8" if vector["method"] != "GET" else "",
        **vector["in_headers"],
        "X-Date": vector["x_date"],
        "X-Content-Sha256": vector["x_content_sha256"],
        "X-Security-Token": vector["session_token"],
        "Authorization": vector["authorization"],
    }
    request = received(vector["method"], f"{vector['path']}?{vector['url_query_as_sent']}", headers)
    now = datetime.strptime(vector["x_date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    assert accepted(request, vector["body"].encode(), secret=VECTOR_SECRET, now=now)
    assert not accepted(request, vector["body"].encode() + b" ", secret=VECTOR_SECRET, now=now)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "relay.example.com", "relay.example.com:443"])
def test_the_vendors_client_is_accepted(host: str) -> None:
    """It drops default ports when it signs, and sends them."""
    assert accepted(*by_volcengine(host=host))


def test_a_query_as_a_form_is_accepted() -> None:
    """The client signs %20 and sends a plus sign."""
    assert accepted(*by_volcengine({"note": "a b+c/d~e*f(g)'!", "prompt": "猫&狗=朋友", "empty": "", **QUERY}))


@pytest.mark.parametrize("path", ["/v1/submit", "/a b/猫", "/a%20b", ""])
def test_any_path_is_accepted(path: str) -> None:
    """Encoded as the clients encode it."""
    request, body = by_volcengine(path=path)

    assert accepted(request, body)


def test_further_signed_headers_are_honoured() -> None:
    """The newer client signs an invocation's id and its attempt."""
    extra = {"X-Sdk-Invocation-Id": "5f0c", "X-Sdk-Request": "attempt=1; max=4"}
    request = by_volcengine_core(extra)

    assert "x-sdk-request" in request.headers["authorization"]
    assert accepted(request, BODY)
    changed = structs.replace(request, headers={**request.headers, "x-sdk-request": "attempt=2; max=4"})
    assert not accepted(changed, BODY)


@pytest.mark.parametrize("signer", [SigV4Auth, S3SigV4Auth], ids=["SigV4", "with the body's hash in a header"])
@pytest.mark.parametrize("host", ["127.0.0.1:8080", "relay.example.com", "relay.example.com:80"])
def test_awss_client_is_accepted(signer: type[SigV4Auth], host: str) -> None:
    """Also with header values that it folds."""
    assert accepted(by_botocore(headers={"X-Note": " a   b "}, signer=signer, host=host), BODY)


@pytest.mark.parametrize("target", ["/?b=2&a=1&a=0", "/?note=a%20b%2Bc&e=&f", "/?q=a+b", "/a%20b/%E7%8C%AB?x=%2F"])
def test_awss_queries_and_paths_are_accepted(target: str) -> None:
    """It signs the query as it is on the wire, and the path encoded once more."""
    assert accepted(by_botocore(target), BODY)


def test_sigv4_with_plain_header_names_is_accepted() -> None:
    """As relays before this one took it: `X-Date` and `X-Content-Sha256`."""
    request = by_botocore()
    body_hash = hashlib.sha256(BODY).hexdigest()
    headers = {
        "host": "127.0.0.1:8080",
        "x-content-sha256": body_hash,
        "x-date": request.headers["x-amz-date"],
    }
    plain = structs.replace(request, headers={**headers, "authorization": _signed_by_hand(request, headers, body_hash)})

    assert accepted(plain, BODY)
    assert not accepted(plain, b"{}")


def test_what_our_own_signer_signs_is_accepted() -> None:
    """Signer and verifier share the canonical form; neither judges the other alone."""
    now = datetime.now(UTC)
    unsigned = Unsigned(
        method="POST", path="/", query=list(QUERY.items()), headers={"Host": "127.0.0.1:8080"}, body=BODY
    )
    made = signature_headers(unsigned, Credentials(access_key=Secret(ACCESS_KEY), secret_key=SECRET), at=now)

    assert accepted(received("POST", f"/?{SUBMIT}", made), BODY, now=now)


CHANGES: Final[Mapping[str, dict[str, Any]]] = {
    "method": {"method": "PUT"},
    "path": {"path": "/other", "raw_path": "/other"},
    "query": {"query": SUBMIT.replace("Submit", "Get")},
    "more query": {"query": f"{SUBMIT}&x="},
    "no query": {"query": ""},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_request_does_not_fit(change: dict[str, Any]) -> None:
    """Whatever of it was changed, in both dialects."""
    for request in (by_volcengine()[0], by_botocore(f"/?{SUBMIT}")):
        assert accepted(request, BODY)
        assert not accepted(structs.replace(request, **change), BODY)


def test_a_changed_body_or_another_secret_does_not_fit() -> None:
    """In both dialects, with and without a header for the body's hash."""
    for request in (by_volcengine()[0], by_botocore(), by_botocore(signer=S3SigV4Auth)):
        assert not accepted(request, BODY + b" ")
        assert not accepted(request, BODY, secret=Secret("sk_other"))


def test_a_signature_of_one_dialect_is_none_in_the_other() -> None:
    """The prefix of the secret and the end of the scope differ."""
    request, _ = by_volcengine()
    authorization = request.headers["authorization"].replace("HMAC", "AWS4-HMAC").replace("/request", "/aws4_request")

    assert not accepted(structs.replace(request, headers={**request.headers, "authorization": authorization}), BODY)


@pytest.mark.parametrize(("off_s", "good"), [(-301, False), (-298, True), (298, True), (301, False)])
def test_a_clock_may_be_off_by_five_minutes(off_s: int, good: bool) -> None:
    """Beyond that the refusal says what time it is here, and the difference."""
    request, body = by_volcengine()
    signed = datetime.strptime(request.headers["x-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    now = signed + timedelta(seconds=off_s)

    if good:
        assert accepted(request, body, now=now)
    else:
        words = "301 s later" if off_s > 0 else "301 s earlier"
        with pytest.raises(ClockSkew, match=f"it is {now:%Y%m%dT%H%M%SZ} here, {words}"):
            accepted(request, body, now=now)


MALFORMED: Final[Mapping[str, tuple[str, str, str]]] = {
    "no date": ("x-date", "", "date header is not YYYYMMDDTHHMMSSZ"),
    "a date in words": ("x-date", "today", "date header is not"),
    "no such day": ("x-date", "20269999T000000Z", "date header is not"),
    "another day's scope": ("authorization", "{0}~", "differs from the date header"),
    "another scope": ("authorization", "{0}!", "Credential is not <access key>/"),
    "a hash in capitals": ("x-content-sha256", hashlib.sha256(BODY).hexdigest().upper(), "lower-case hex digits"),
    "no hash": ("x-content-sha256", "UNSIGNED-PAYLOAD", "lower-case hex digits"),
    "no signature": ("authorization", "HMAC-SHA256 Credential=a/b/c/d/request", "Authorization is not"),
    "two authorizations": ("authorization", "{0},{0}", "Authorization is not"),
}


@pytest.mark.parametrize(("name", "value", "reported"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_signature_is_refused_with_the_reason(name: str, value: str, reported: str) -> None:
    """The message helps authors of a signer."""
    request, _ = by_volcengine()
    given = request.headers["authorization"]
    value = _edited(value.format(given))

    with pytest.raises(InvalidSignature, match=reported):
        read_signature(structs.replace(request, headers={**request.headers, name: value}), now=datetime.now(UTC))


@pytest.mark.parametrize("name", ["host", "x-date", "x-content-sha256"])
def test_host_date_and_body_must_be_signed(name: str) -> None:
    """Otherwise the request could be sent to another host, on another day, or with another body."""
    request, _ = by_volcengine()
    authorization = request.headers["authorization"].replace(f"{name};", "").replace(f";{name}", "")

    with pytest.raises(InvalidSignature, match=name):
        read_signature(
            structs.replace(request, headers={**request.headers, "authorization": authorization}),
            now=datetime.now(UTC),
        )


def test_a_signed_header_that_was_not_sent_is_named() -> None:
    """A proxy may have removed it."""
    request = by_volcengine_core({"X-Sdk-Request": "attempt=1; max=4"})
    kept = {name: value for name, value in request.headers.items() if name != "x-sdk-request"}

    with pytest.raises(InvalidSignature, match="x-sdk-request is in SignedHeaders but was not sent"):
        accepted(structs.replace(request, headers=kept), BODY)


def test_each_signature_has_a_fingerprint_of_its_own() -> None:
    """Two requests differ in it as soon as anything of them differs; the same request does not."""
    claims = [
        read_signature(request, now=datetime.now(UTC))
        for request in (by_volcengine()[0], by_volcengine(body=b"{}")[0], by_botocore())
    ]

    assert len({presented.fingerprint for presented in claims}) == 3
    assert structs.replace(claims[0]).fingerprint == claims[0].fingerprint


WORDS = st.sampled_from(
    [
        "HMAC-SHA256", "AWS4-HMAC-SHA256", "Bearer", " ", ", ", ",", "Credential=", "SignedHeaders=", "Signature=",
        f"{ACCESS_KEY}/20260102/cn-north-1/cv/request", "a/b/c/d/aws4_request", "host;x-date;x-content-sha256", ";",
        "0" * 64, "\x00", "\udcff", "é", "=", "/",
    ]
)  # fmt: skip
HEADER = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=14).map("".join))


@settings(max_examples=400)
@given(authorization=HEADER, date=HEADER, body_hash=HEADER, host=HEADER, query=HEADER, path=HEADER)
def test_any_header_is_refused_without_an_error(
    authorization: str, date: str, body_hash: str, host: str, query: str, path: str
) -> None:
    """Any text in any place gives a refusal."""
    headers = {"authorization": authorization, "x-date": date, "x-content-sha256": body_hash, "host": host}
    request = SignedRequest(method="POST", path=path, raw_path=path, query=query, headers=headers)

    is_signature(authorization)
    try:
        presented = read_signature(request, now=datetime.now(UTC))
    except (InvalidSignature, ClockSkew):
        return
    assert not is_valid_signature(presented, request, SECRET, body_hash=hashlib.sha256(BODY).hexdigest())


@settings(max_examples=200)
@given(
    query=st.text(st.characters(codec="utf-8"), max_size=60),
    path=st.text(st.characters(codec="utf-8"), max_size=60),
    value=st.binary(max_size=40),
)
def test_a_well_formed_signature_with_odd_parts_is_refused(query: str, path: str, value: bytes) -> None:
    """The signature does not fit, whatever path, query and further signed header it has."""
    now = datetime.now(UTC)
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    for algorithm, ending in (("HMAC-SHA256", "request"), ("AWS4-HMAC-SHA256", "aws4_request")):
        headers = {
            "host": "h",
            "x-date": stamp,
            "x-content-sha256": "0" * 64,
            "x-odd": value.decode("utf-8", "surrogateescape"),
            "authorization": f"{algorithm} Credential=ak/{stamp[:8]}/r/s/{ending}, "
            f"SignedHeaders=host;x-content-sha256;x-date;x-odd, Signature={'0' * 64}",
        }
        request = SignedRequest(method="POST", path=path, raw_path=path, query=query, headers=headers)
        presented = read_signature(request, now=now)
        assert not is_valid_signature(presented, request, SECRET, body_hash="0" * 64)


def _edited(authorization: str) -> str:
    """`~` at the end asks for another day in the scope, `!` for another end of it."""
    if authorization.endswith("~"):
        return re.sub(r"/\d{8}/", "/20200101/", authorization[:-1])
    return authorization[:-1].replace("/request", "/other") if authorization.endswith("!") else authorization


def _signed_by_hand(request: SignedRequest, headers: Mapping[str, str], body_hash: str) -> str:
    """SigV4 with the standard library, over plain header names."""
    import hmac

    stamp = headers["x-date"]
    scope = f"{stamp[:8]}/cn-north-1/cv/aws4_request"
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"POST\n{request.raw_path}\n\n{lines}\n{names}\n{body_hash}"
    key = f"AWS4{SECRET.reveal()}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    proof = hmac.digest(key, text.encode(), "sha256").hex()
    return f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={names}, Signature={proof}"
