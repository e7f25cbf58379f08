"""What is read of bodies and answers, and that nothing else changes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.relay.bodies import is_forgotten, read_inquiry, read_submission, refuses_us, with_our_id
from services.relay.responses import Business, RelayCallRefused

VENDOR, OURS = "7392616336519610409", "task_0123"


def refusal_of(read: Any, body: bytes) -> Business:
    """The response to the caller."""
    with pytest.raises(RelayCallRefused) as caught:
        read(body)
    assert isinstance(caught.value.answer, Business)
    return caught.value.answer


def test_a_submit_is_kept_to_the_byte() -> None:
    """The text is the body; only the key and the prompt are read."""
    body = '{ "prompt":"猫", "req_key" : "jimeng_t2i_v40", "n": 1.50, "n": 2 }\n'

    submission = read_submission(body.encode())

    assert submission.text == body
    assert (submission.req_key, submission.prompt) == ("jimeng_t2i_v40", "猫")


def test_a_prompt_may_be_anything() -> None:
    """It is the vendor that judges it; lists show it where it is a text. Inpainting has another name for it."""
    assert read_submission(b'{"req_key": "a", "prompt": 5}').prompt is None
    assert read_submission(b'{"req_key": "a", "custom_prompt": "b"}').prompt == "b"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 50200),
        (b"{", 50200),
        (b"[]", 50200),
        (b"null", 50200),
        (b'{"req_key": "\xff"}', 50200),
        (b"\xef\xbb\xbf{}", 50200),
        (b"[" * 100_000, 50200),
        (b'{"req_key": "a", "prompt": "\\ud800"}', 50200),
        (b"{}", 50201),
        (b'{"req_key": null}', 50201),
        (b'{"req_key": ""}', 50201),
        (b'{"req_key": 5}', 50204),
        (b'{"req_key": "a/b"}', 50402),
        (b'{"req_key": "a\\nb"}', 50402),
        (json.dumps({"req_key": "a" * 129}).encode(), 50402),
    ],
)
def test_a_body_that_names_no_capability_is_refused(body: bytes, code: int) -> None:
    """In the vendor's words, with its status."""
    answer = refusal_of(read_submission, body)

    assert answer.code == code
    assert answer.http_status == 400


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{}", 50201), (b'{"req_key": "a"}', 50201), (b'{"req_key": "a", "task_id": 5}', 50204), (b"]", 50200)],
)
def test_a_query_that_names_no_task_is_refused(body: bytes, code: int) -> None:
    """In the vendor's words."""
    assert refusal_of(read_inquiry, body).code == code


def test_the_vendor_is_asked_for_its_own_id() -> None:
    """All other fields of the query are as the caller wrote them."""
    inquiry = read_inquiry(b'{"req_key":"a","task_id":"task_1","req_json":"{\\"return_url\\":true}","x":1.50}')

    assert inquiry.for_vendor(VENDOR) == (
        b'{"req_key":"a","task_id":"7392616336519610409","req_json":"{\\"return_url\\":true}","x":1.50}'
    )
    assert inquiry.return_url


@pytest.mark.parametrize("options", ["", "{", "[]", '{"return_url": false}', '{"return_url": "true"}', "{}"])
def test_pictures_are_files_unless_links_are_wanted(options: str) -> None:
    """As at the vendor: only `return_url: true` makes links. It is the vendor that judges what is wrong with it."""
    body = json.dumps({"req_key": "a", "task_id": "b", "req_json": options}).encode()

    assert not read_inquiry(body).return_url


@pytest.mark.parametrize("named", ['"7392616336519610409"', "7392616336519610409", '" 7392616336519610409 "'])
def test_our_id_takes_the_place_of_the_vendors(named: str) -> None:
    """Whether it came as text or as a number; the rest stays to the byte, big and odd numbers too."""
    body = '{"code":10000,"data":{"z":1e2,"task_id":%s,"n":123456789012345678901},"request_id":"7392616336519610409"}'

    changed = with_our_id((body % named).encode(), vendor_id=VENDOR, task_id=OURS)

    assert changed.decode() == body % f'"{OURS}"'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[1]",
        b'{"code": 10000}',
        b'{ "data" : null }',
        b'{"data": {"status": "done", "image_urls": []}}',
        b'{"data": {"task_id": "another"}}',
        b'{"data": {"task_id": {}}}',
        b"\xff\xfe",
    ],
)
def test_an_answer_without_the_id_is_not_touched(body: bytes) -> None:
    """It is handed on to the byte."""
    assert with_our_id(body, vendor_id=VENDOR, task_id=OURS) == body


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)))
def test_no_field_of_an_answer_is_lost(fields: dict[str, Any]) -> None:
    """Whatever the vendor adds arrives."""
    answer = {**fields, "data": {**fields, "task_id": VENDOR}}

    changed = with_our_id(json.dumps(answer).encode(), vendor_id=None, task_id=OURS)

    assert json.loads(changed) == {**answer, "data": {**fields, "task_id": OURS}}


@given(st.binary())
def test_any_bytes_are_read_without_harm(body: bytes) -> None:
    """A vendor may answer anything, and a caller send anything."""
    assert isinstance(with_our_id(body, vendor_id=VENDOR, task_id=OURS), bytes)
    assert is_forgotten(body) in {True, False}
    assert refuses_us(body) in {True, False}
    for read in (read_submission, read_inquiry):
        try:
            read(body)
        except RelayCallRefused:
            continue


def test_a_forgotten_task_is_distinguished_from_others() -> None:
    """`not_found` and `expired` mean that the vendor knows nothing any more."""
    assert is_forgotten(b'{"code": 10000, "data": {"status": "not_found"}}')
    assert is_forgotten(b'{"code": 10000, "data": {"status": "expired"}}')
    assert not is_forgotten(b'{"code": 10000, "data": {"status": "done"}}')
    assert not is_forgotten(b'{"code": 50500, "data": null}')


def test_a_refusal_of_our_own_key_is_distinguished_from_others() -> None:
    """The gateway's error about a signature is about ours: the caller's was checked here. One about Actions is not."""
    assert refuses_us(b'{"ResponseMetadata": {"Error": {"Code": "InvalidAccessKey", "Message": "AKLT"}}}')
    assert not refuses_us(b'{"ResponseMetadata": {"Error": {"Code": "InvalidActionOrVersion"}}}')
    assert not refuses_us(b'{"ResponseMetadata": {}}')
    assert not refuses_us(b'{"code": 50400}')
