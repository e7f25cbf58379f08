"""Shared by all OpenAI calls: the Bearer key, error messages, and families of model names."""

from typing import Any, TypeVar

import msgspec

from simulator.connections import HttpRequest
from simulator.errors import OpenAIError
from simulator.upstream import Upstream
from simulator.validation import InvalidField, read

S = TypeVar("S", bound=msgspec.Struct)
IMAGE_FAMILIES = ("gpt-image", "chatgpt-image", "dall-e-")
VIDEO_FAMILIES = ("sora",)
TEXT_FAMILIES = ("gpt-", "o1", "o3", "o4", "chatgpt-")


def authorize(upstream: Upstream, request: HttpRequest) -> None:
    """
    Check the API key.

    Raises:
        OpenAIError: 401 invalid_api_key.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or key != upstream.settings.credentials.openai_key:
        raise OpenAIError(401, "Incorrect API key provided.", code="invalid_api_key")


async def read_body(request: HttpRequest, shape: type[S]) -> tuple[S, Any]:
    """
    The params of a JSON body, and the document from which they were read.

    Raises:
        OpenAIError: 400, with the field in `param`.
    """
    try:
        document = msgspec.json.decode(await request.body())
    except msgspec.DecodeError as error:
        raise OpenAIError(400, "We could not parse the JSON body of your request.") from error
    return read_params(document, shape), document


def read_params(document: Any, shape: type[S]) -> S:
    """
    The params of a decoded body.

    Raises:
        OpenAIError: 400, with the field in `param`.
    """
    try:
        return read(document, shape)
    except InvalidField as error:
        code = "missing_required_parameter" if error.problem == "missing" else "invalid_value"
        raise OpenAIError(400, error.detail, code=code, param=error.field) from error


def invalid(param: str, why: str) -> OpenAIError:
    """The error for a field with an invalid value."""
    return OpenAIError(400, f"Invalid value for '{param}': {why}.", code="invalid_value", param=param)


def check_model(model: str, families: tuple[str, ...], *, but: tuple[str, ...] = ()) -> None:
    """
    Accept any model name of a known family.

    Raises:
        OpenAIError: 404 model_not_found.
    """
    if not model.startswith(families) or (but and model.startswith(but)):
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise OpenAIError(404, message, code="model_not_found", param="model")
