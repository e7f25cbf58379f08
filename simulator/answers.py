"""Answers of the simulator: JSON documents, errors and server-sent events, before they are sent."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from litestar import Response
from litestar.response import Stream

from simulator.errors import VendorError

EVENT_STREAM = "text/event-stream"
Reply = Response[Any] | Stream


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP answer. A streamed body is a sequence of chunks, such as one server-sent event each."""

    body: bytes | AsyncIterator[bytes]
    media_type: str = "application/json"
    status: int = 200
    headers: dict[str, str] = {}

    def reply(self) -> Reply:
        """The answer as a litestar response, with a request id as in the vendors' responses."""
        headers = {"x-request-id": uuid.uuid4().hex, **self.headers}
        if isinstance(self.body, bytes):
            return Response(self.body, media_type=self.media_type, status_code=self.status, headers=headers)
        return Stream(self.body, media_type=self.media_type, status_code=self.status, headers=headers)


def json_answer(value: object, status: int = 200) -> Answer:
    """An answer with a JSON document."""
    return Answer(body=msgspec.json.encode(value), status=status)


def error_answer(error: VendorError) -> Answer:
    """An error in the envelope of its vendor, with `Retry-After` if the error has a delay."""
    headers = {} if error.retry_after_s is None else {"Retry-After": f"{error.retry_after_s:g}"}
    return Answer(body=msgspec.json.encode(error.envelope()), status=error.status, headers=headers)


def event(value: object, name: str | None = None) -> bytes:
    """One server-sent event."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + msgspec.json.encode(value) + b"\n\n"


LAST_EVENT = b"data: [DONE]\n\n"
