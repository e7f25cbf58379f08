"""The API against its own description: whatever is asked, the answer is one that the description foresees."""

import asyncio
from typing import Any, Final

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import structs
from schemathesis import GenerationMode
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from api.app import build_app
from api.openapi.document import document
from core.attempts import Failure
from core.task_states import State
from core.tasks import Result
from polyrelay import TaskType
from tests.unit.api.api_fixture import ApiFixture, a_task, an_attempt, api_registry, completed, failed, new_api_fixture
from tests.unit.api.callers import ASKING, Callers, Who, callers_of

CHECKS: Final = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
FORESEEN: Final = {"provider_unavailable"}
"""Why a server on which nothing is broken answers 503."""

PATHS: Final = msgspec.json.decode(document(api_registry()))["paths"]
OPERATIONS: Final = {f"{method.upper()} {path}": PATHS[path][method] for path in PATHS for method in PATHS[path]}
ASKED_WRONGLY: Final = [label for label, about in OPERATIONS.items() if {"parameters", "requestBody"} & about.keys()]
"""What takes nothing cannot be asked in a wrong way."""

EXAMPLES: Final = settings(
    max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)


async def filled(api: ApiFixture) -> list[str]:
    """Store tasks of every state; their ids."""
    picture = Result(type=TaskType.IMAGE, file="t/1/0.png", media_type="image/png", size_bytes=4)
    await api.results.put("t/1/0.png", b"\x89PNG")
    tasks = [a_task(), completed(picture), completed(Result(type=TaskType.TEXT, text="…", finish_reason="stop"))]
    tasks += [failed(Failure(code="outcome_unknown", message="the answer was lost"))]
    tasks += [a_task(state=state, attempts=(an_attempt(),)) for state in (State.SUBMITTING, State.WAITING)]
    tasks += [a_task(state=State.STORING, attempts=(an_attempt(),), results=(picture,))]
    return [(await api.stored(task)).id for task in tasks]


@pytest.fixture(scope="module")
def api() -> ApiFixture:
    """One for all operations."""
    return new_api_fixture()


@pytest.fixture(scope="module")
def openapi(api: ApiFixture) -> OpenApiSchema:
    """The description, as the application gives it."""
    app = build_app(api.adapters(), structs.replace(ASKING, key_requests_per_minute=None))
    return schemathesis.openapi.from_asgi("/docs/openapi.json", app)


@pytest.fixture(scope="module")
def callers(api: ApiFixture) -> Callers:
    """Those who have a key."""
    return asyncio.run(callers_of(api))


@pytest.fixture(params=[Who.ADMIN, Who.APP, Who.NOBODY])
def headers(callers: Callers, request: pytest.FixtureRequest) -> dict[str, str]:
    """Of one who may do everything, of one who may do some things, and of one who may not."""
    return callers.headers(request.param)


@pytest.fixture
def known(api: ApiFixture) -> list[str]:
    """Tasks of every state that no other test has touched; their ids."""
    return asyncio.run(filled(api))


@pytest.mark.parametrize("label", OPERATIONS)
def test_what_is_described_is_answered_as_described(
    openapi: OpenApiSchema, known: list[str], headers: dict[str, str], label: str
) -> None:
    """Status, content type, headers and body are foreseen, and none is a 5xx."""
    play(openapi, known, headers, label, GenerationMode.POSITIVE)


@pytest.mark.parametrize("label", ASKED_WRONGLY)
def test_what_is_not_described_is_refused_as_described(
    openapi: OpenApiSchema, known: list[str], callers: Callers, label: str
) -> None:
    """Wrong parameters and bodies of every kind, too."""
    play(openapi, known, callers.headers(Who.ADMIN), label, GenerationMode.NEGATIVE)


def play(openapi: OpenApiSchema, known: list[str], headers: dict[str, str], label: str, mode: GenerationMode) -> None:
    """Ask for an operation in many ways."""
    operation = openapi.find_operation_by_label(label)
    assert operation is not None

    @EXAMPLES
    @given(case=operation.as_strategy(mode), task_id=st.none() | st.sampled_from(known))
    def ask(case: Any, task_id: str | None) -> None:
        if task_id is not None and "task_id" in case.path_parameters:
            case.path_parameters["task_id"] = task_id
        response = case.call(headers=headers)
        assert_sound(response)
        case.validate_response(response, checks=CHECKS)

    ask()


def assert_sound(response: Response) -> None:
    """No failure of the server's."""
    if response.status_code == 503:
        assert response.json()["error"]["code"] in FORESEEN, response.text
    else:
        assert response.status_code < 500, response.text
    assert "Traceback" not in response.text
