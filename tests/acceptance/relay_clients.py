"""The vendor's official clients, unmodified except for host, scheme and keys."""

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

ANY_KEYS: Keys = ("AKLTany", "any-secret")
LINKS = {"req_json": '{"return_url": true}'}


def visual_service(url: str, keys: Keys = ANY_KEYS) -> VisualService:
    """
    The client of the package `volcengine`.

    The package makes it a singleton that its constructor resets; here each call makes an object of its own.
    """
    service = object.__new__(VisualService)
    VisualService.__init__(service)
    service.set_host(url.removeprefix("http://"))
    service.set_scheme("http")
    service.set_ak(keys[0])
    service.set_sk(keys[1])
    return cast(VisualService, service)


def universal_api(url: str, keys: Keys = ANY_KEYS) -> UniversalApi:
    """The universal client of the package `volcenginesdk-core`, which signs two more headers."""
    configuration = volcenginesdkcore.Configuration()
    configuration.host = url.removeprefix("http://")
    configuration.scheme = "http"
    configuration.ak, configuration.sk, configuration.region = *keys, "cn-north-1"
    return UniversalApi(volcenginesdkcore.ApiClient(configuration))


def universal_call(universal: UniversalApi, action: str, form: Document) -> Document:
    """Call the visual API; returns the body. The client parses no business envelope, so the body is read without it."""
    info = UniversalInfo(
        method="POST", service="cv", version="2022-08-31", action=action, content_type="application/json"
    )
    universal.do_call(info, form, _preload_content=False)
    answer: Document = json.loads(universal.api_client.last_response.data)
    return answer


def error_of(call: Callable[[Document], Any], form: Document) -> Document:
    """The error body of a call; the client raises a bare `Exception` with the repr of the body's bytes."""
    with pytest.raises(Exception, match=r"\{") as caught:
        call(form)
    document: Document = json.loads(ast.literal_eval(str(caught.value)))
    return document


def until_done(query: Callable[[Document], Document], form: Document) -> tuple[list[str], Document]:
    """Query until the task has ended; the statuses in order without repetitions, and the last data."""
    seen: list[str] = []
    for _ in range(3000):
        data = query(form)["data"]
        if data["status"] not in seen[-1:]:
            seen.append(data["status"])
        if data["status"] not in {"in_queue", "generating"}:
            return seen, data
    raise AssertionError(f"not ended, statuses {seen}")
