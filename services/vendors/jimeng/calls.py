"""Requests to the visual API: pure functions from a job to a query and a body."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from polyrelay import Job, ProtocolError
from services.vendors.jimeng.families import Calls, JimengFamily
from services.vendors.jimeng.fields import Body, JimengParams

_VERSION: Final = "2022-08-31"
_MOST_OPERATION_BYTES: Final = 4096


class Call(Struct, frozen=True):
    """Query and body of a POST to `/`."""

    query: tuple[tuple[str, str], ...]
    body: Body


class Operation(Struct, frozen=True):
    """
    The vendor's handle of a submission.

    Attributes:
        req_key: The `req_key` of the submit. The query must repeat it, also after the catalogue has changed.
        task_id: The vendor's task id.
    """

    req_key: str
    task_id: str

    def written(self) -> str:
        """
        The operation as text; `read_operation` is the inverse.

        Raises:
            ProtocolError: The text is longer than 4 KiB, the limit of an operation.
        """
        text = f"{self.req_key}/{self.task_id}"
        if len(text.encode()) > _MOST_OPERATION_BYTES:
            raise ProtocolError(f"the task id of the answer is {len(self.task_id)} characters long")
        return text


def read_operation(text: str) -> Operation:
    """
    The operation that `Operation.written` returned as text.

    Raises:
        ProtocolError: The text has another form.
    """
    req_key, slash, task_id = text.partition("/")
    if not (req_key and slash and task_id):
        raise ProtocolError(f"the operation {text!r} is not like req_key/task_id")
    return Operation(req_key, task_id)


def submission(job: Job[Any], family: JimengFamily, req_key: str) -> Call:
    """The call that starts the generation. A synchronous call also says how to deliver the result."""
    params: JimengParams = job.params
    body = {"req_key": req_key, **params.body()}
    if family.calls.query is None:
        body.update(params.delivery())
    return Call(_query(family.calls.submit), body)


def inquiry(job: Job[Any], calls: Calls, operation: Operation) -> Call:
    """
    The call that asks for the result.

    Raises:
        ProtocolError: The model is synchronous and has no such call.
    """
    if calls.query is None:
        raise ProtocolError(f"{job.model} answers at once; there is nothing to ask for")
    params: JimengParams = job.params
    body: Body = {"req_key": operation.req_key, "task_id": operation.task_id}
    if delivery := params.delivery():
        body["req_json"] = msgspec.json.encode(delivery).decode()
    return Call(_query(calls.query), body)


def _query(action: str) -> tuple[tuple[str, str], ...]:
    return (("Action", action), ("Version", _VERSION))
