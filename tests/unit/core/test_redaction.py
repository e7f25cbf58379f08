"""Redaction of bodies: secrets are hidden, long values are cut."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.redaction import CUT, HIDDEN, LONGEST_TEXT, MOST_BYTES, MOST_ITEMS, redaction

KNOWN = "0f8c1d2e-aaaa-bbbb-cccc-1234567890ab"
"""A key without a pattern: an id could look the same."""

redact = redaction([KNOWN])

_word = st.text(
    st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), min_size=16, max_size=60
)
_texts = st.text(st.sampled_from("äöß狐狸 \n.,:;=\"'-_/\\&?@()[]{}"), max_size=40)
"""Text around a secret, with other letters than the secret."""


def secrets() -> st.SearchStrategy[str]:
    """Texts whose pattern shows that they are secret."""
    return st.one_of(
        st.just(KNOWN),
        _word.map(lambda word: f"sk-{word}"),
        _word.map(lambda word: f"sk_{word}"),
        _word.map(lambda word: f"AKLT{word}"),
        st.binary(min_size=48, max_size=300).map(lambda data: base64.b64encode(data).decode()),
    )


def quoted() -> st.SearchStrategy[tuple[str, str]]:
    """A secret without a pattern, and a text in which the words before it show that it is secret."""
    signs = [
        "Authorization: {}",
        "authorization: Bearer {}",
        "https://user:{}@host/path",
        "https://host/path?X-Tos-Signature={}&x=1",
        "https://host/path?anything={}",
        "api_key={}",
        '{{"secret": "{}"}}',
        "password: {}",
        "data:image/png;base64,ABCDEFGHABCD{}",
    ]
    return st.tuples(_word, st.sampled_from(signs)).map(lambda pair: (pair[0], pair[1].format(pair[0])))


def values_around(hidden: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """JSON values that contain it as a value, in a list or in objects."""
    plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), _texts)
    return st.recursive(
        hidden,
        lambda inner: st.one_of(
            st.tuples(st.lists(plain, max_size=3), inner, st.lists(plain, max_size=3)).map(
                lambda parts: [*parts[0], parts[1], *parts[2]]
            ),
            st.tuples(st.dictionaries(_texts, plain, max_size=3), _texts, inner).map(
                lambda parts: {**parts[0], parts[1]: parts[2]}
            ),
        ),
        max_leaves=4,
    )


@st.composite
def bodies_with_a_secret(draw: st.DrawFn) -> tuple[str, Any]:
    """A secret, and a body that contains it."""
    if draw(st.booleans()):
        secret, text = draw(quoted())
    else:
        secret = text = draw(secrets())
    padding = draw(st.sampled_from(["", " ", "x " * 240, "x " * 700]))
    where = draw(st.sampled_from([f"{padding}{text}", f"{padding}{text} and more", f"{padding}({text})"]))
    body = draw(values_around(st.just(where) | st.just({where: 1})))
    return secret, body


@given(bodies_with_a_secret())
def test_a_secret_is_hidden_everywhere(case: tuple[str, Any]) -> None:
    """It is hidden as a value, in a list, as a name, within a text, and where a text is cut."""
    secret, body = case
    assert secret not in json.dumps(redact(body), ensure_ascii=False)


SECRET_NAMES = [
    *("secret", "apiKey", "X-Api-Key", "secretAccessKey", "Authorization", "password", "sessionToken", "clientsecret"),
    *("private_key", "API_KEY_ENCRYPTION_KEY", "X-Amz-Signature", "Cookie", "credentials"),
]


@given(
    st.sampled_from(SECRET_NAMES),
    st.one_of(st.text(min_size=5), st.integers(min_value=10_000), st.lists(st.just("hidden"), min_size=1)),
)
def test_values_with_a_secret_name_are_hidden(name: str, value: Any) -> None:
    """The type of the value and the depth do not matter."""
    assert redact({"a": [{name: value}]}) == {"a": [{name: HIDDEN}]}


def test_names_that_only_sound_secret_are_kept() -> None:
    """These are counts of tokens, and values that cannot be secret."""
    body = {"max_tokens": 7, "secretary": "x", "has_token": True, "api_key": None}
    assert redact(body) == body


_any_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=900)),
    lambda inner: st.one_of(st.lists(inner, max_size=60), st.dictionaries(st.text(max_size=90), inner, max_size=60)),
    max_leaves=120,
)


@given(_any_json)
def test_the_size_of_the_result_is_limited(body: Any) -> None:
    """As JSON it has at most MOST_BYTES bytes, for any value."""
    assert len(msgspec.json.encode(redact(body))) <= MOST_BYTES


def test_plain_bodies_are_unchanged() -> None:
    """Short values that are not secret are kept."""
    body = {
        "provider": "volcengine",
        "model": "doubao-seedream-4-0-250828",
        "prompt": "一只狐狸 in the snow: at 7:30, e-mail a@b.example",
        "n": 3,
        "big": 2**63,
        "guidance": 2.5,
        "image_urls": ["https://host.example/a/b.png"],
        "metadata": {"order": "4711", "vip": True, "note": None},
    }
    assert redact(body) == body


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://user:pass@host:8/a/b.png?X-Signature=1#f", f"https://host:8/a/b.png?{CUT}"),
        ("x" * 600 + "é", f"xxxxxxxxxxxx{CUT}é"),
        ("data:image/png;base64," + "QUJD" * 2000, f"data:image/png;base64,QUJDQUJDQUJD{CUT} (8022 characters)"),
        ("é " * 400, "é " * 250 + f"{CUT} (800 characters)"),
        ("http://[broken", f"http://{CUT}"),
        (2**80, CUT),
        ([1] * 60, [1] * MOST_ITEMS + [f"{CUT} (60 items)"]),
    ],
)
def test_long_values_are_cut(value: Any, kept: Any) -> None:
    """The mark at the cut has the original length."""
    assert redact({"field": value})["field"] == kept


def test_nested_values_are_cut_at_a_depth() -> None:
    """A value that contains itself is cut as well."""
    loop: dict[str, Any] = {}
    loop["again"] = loop
    assert CUT in repr(redact(loop))


def test_only_the_beginning_of_a_large_text_is_searched() -> None:
    """So a large text is redacted quickly."""
    shown = redact("x y " * 5_000_000)
    assert len(shown) < LONGEST_TEXT + 50
