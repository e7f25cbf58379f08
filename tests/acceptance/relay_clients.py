"""The vendor's official clients, unmodified but for host, scheme and keys."""

import ast
import json
from collections.abc import Callable
from typing import Any, cast

import pytest
import volcenginesdkcore
from volcengine.visual.VisualService import VisualService
from volcenginesdkcore.universal import UniversalApi, UniversalInfo

Document = dict[str, Any]

Keys = tuple[str, str]

ANYBODY: Keys = ("AKLTanybody", "any-secret")
LINKS = {"req_json": '{"return_url": true}'}


def visual_service(url: str, keys: Keys = ANYBODY) -> VisualService:
    """
    The client of the package `volcengine`.

    It is a singleton that its constructor resets; here each is one of its own, so that tests do not meet in it.
    """
    service = object.__new__(VisualService)
    VisualService.__init__(service)
    service.set_host(url.removeprefix("http://"))
    service.set_scheme("http")
    service.set_ak(keys[0])
    service.set_sk(keys[1])
    return cast(VisualService, service)


def universal_api(url: str, keys: Keys = ANYBODY) -> UniversalApi:
    """The universal call of the package `volcenginesdk-core`, which signs two more headers."""
    configuration = volcenginesdkcore.Configuration()
    configuration.host = url.removeprefix("http://")
    configuration.scheme = "http"
    configuration.ak, configuration.sk, configuration.region = *keys, "cn-north-1"
    return UniversalApi(volcenginesdkcore.ApiClient(configuration))


def universal_call(universal: UniversalApi, action: str, form: Document) -> Document:
    """A call of the visual API. The client reads no business envelope, so it is asked for the plain body."""
    info = UniversalInfo(
        method="POST", service="cv", version="2022-08-31", action=action, content_type="application/json"
    )
    universal.do_call(info, form, _preload_content=False)
    answer: Document = json.loads(universal.api_client.last_response.data)
    return answer


def error_of(call: Callable[[Document], Any], form: Document) -> Document:
    """The error body; the client raises a bare exception with the repr of the answer's bytes."""
    with pytest.raises(Exception, match=r"\{") as caught:
        call(form)
    document: Document = json.loads(ast.literal_eval(str(caught.value)))
    return document


def until_done(query: Callable[[Document], Document], form: Document) -> tuple[list[str], Document]:
    """Query until it is over; the different statuses in their order, and the last data."""
    seen: list[str] = []
    for _ in range(3000):
        data = query(form)["data"]
        if data["status"] not in seen[-1:]:
            seen.append(data["status"])
        if data["status"] not in {"in_queue", "generating"}:
            return seen, data
    raise AssertionError(f"not over, saw {seen}")
