"""Bodies of the relay: the few fields that are read or replaced in callers' bodies and vendors' responses. Pure."""

import re
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from services.relay.responses import (
    MISSING_PARAMETER,
    NO_SUCH_INTERFACE,
    PARAMETER_ERROR,
    WRONG_TYPE,
    Business,
    RelayCallRefused,
)
from services.vendors.jimeng.relays import object_of

T = TypeVar("T")

_REQ_KEY: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_GONE: Final = frozenset({"not_found", "expired"})


class Submission(Struct, frozen=True, kw_only=True):
    """
    The body of a call that submits something.

    Attributes:
        req_key: The vendor's name of the capability.
        prompt: What lists show.
        text: The whole body, to the byte.
    """

    req_key: str
    prompt: str | None
    text: str


class Inquiry(Struct, frozen=True, kw_only=True):
    """
    The body of a call that queries a task.

    Attributes:
        task_id: This server's, as the caller sent it.
        fields: All fields of the body.
        return_url: Whether images are returned as links: from the `req_json`.
    """

    task_id: str
    fields: dict[str, Raw]
    return_url: bool

    def for_vendor(self, vendor_id: str) -> bytes:
        """The body with the vendor's task id instead of ours."""
        return msgspec.json.encode({**self.fields, "task_id": vendor_id})


def read_submission(body: bytes) -> Submission:
    """
    Read the body of a submit.

    Raises:
        RelayCallRefused: It is not a JSON object, or names no capability.
    """
    fields = _object(body)
    req_key = _text(fields, "req_key")
    if _REQ_KEY.fullmatch(req_key) is None:
        raise RelayCallRefused(Business(code=NO_SUCH_INTERFACE, message=req_key[:128]))
    prompt = _value(fields, "prompt", str) or _value(fields, "custom_prompt", str)
    return Submission(req_key=req_key, prompt=prompt, text=body.decode())


def read_inquiry(body: bytes) -> Inquiry:
    """
    Read the body of a query.

    Raises:
        RelayCallRefused: It is not a JSON object, or names no task.
    """
    fields = _object(body)
    _text(fields, "req_key")
    options = _value(fields, "req_json", str)
    return Inquiry(task_id=_text(fields, "task_id"), fields=fields, return_url=_wants_links(options))


def with_our_id(body: bytes, *, vendor_id: str | None, task_id: str) -> bytes:
    """The vendor's response with our task id instead of its own; nothing else is changed."""
    document = object_of(body)
    data = object_of(bytes(document["data"])) if document is not None and "data" in document else None
    if document is None or data is None or "task_id" not in data:
        return body
    named = _value(data, "task_id", str) or str(_value(data, "task_id", int))
    if vendor_id is not None and named.strip() != vendor_id:
        return body
    return msgspec.json.encode({**document, "data": {**data, "task_id": task_id}})


def is_forgotten(body: bytes) -> bool:
    """Whether the vendor's response says that it does not know the task any more."""
    document = object_of(body)
    data = object_of(bytes(document["data"])) if document is not None and "data" in document else None
    return data is not None and _value(data, "status", str) in _GONE


def refuses_us(body: bytes) -> bool:
    """Whether the response is the signing gateway's refusal of this server's own signature."""
    document = object_of(body)
    metadata = _value(document or {}, "ResponseMetadata", dict[str, Any]) or {}
    error = metadata.get("Error")
    return isinstance(error, dict) and error.get("Code") not in _NOT_ABOUT_US


_NOT_ABOUT_US: Final = frozenset({"MissingParameter", "ServiceNotFound", "InvalidActionOrVersion"})


def _object(body: bytes) -> dict[str, Raw]:
    try:
        body.decode()
    except UnicodeDecodeError:
        raise RelayCallRefused(Business(code=PARAMETER_ERROR, message="the body is not UTF-8")) from None
    fields = object_of(body)
    if fields is None:
        raise RelayCallRefused(Business(code=PARAMETER_ERROR, message="the body is not a JSON object"))
    return fields


def _text(fields: dict[str, Raw], name: str) -> str:
    if name not in fields or bytes(fields[name]).strip() in {b"null", b'""'}:
        raise RelayCallRefused(Business(code=MISSING_PARAMETER, message=name))
    value = _value(fields, name, str)
    if value is None:
        raise RelayCallRefused(Business(code=WRONG_TYPE, message=f"{name} must be a string"))
    return value


def _value(fields: dict[str, Raw], name: str, kind: type[T]) -> T | None:
    """The field's value, or None if it is missing or of another type."""
    try:
        return msgspec.json.decode(fields[name], type=kind) if name in fields else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _wants_links(options: str | None) -> bool:
    fields = object_of(options.encode()) if options else None
    return fields is not None and _value(fields, "return_url", bool) is True
