"""Shared by all Ark calls: the Bearer key, error messages, and families of model names."""

from typing import Any, TypeVar

import msgspec

from simulator.connections import HttpRequest
from simulator.errors import ArkError
from simulator.upstream import Upstream
from simulator.validation import InvalidField, read

S = TypeVar("S", bound=msgspec.Struct)
IMAGE_FAMILIES = ("doubao-seedream-", "doubao-seededit-", "ep-")
VIDEO_FAMILIES = ("doubao-seedance-", "wan2-", "ep-")
TEXT_FAMILIES = ("doubao-", "deepseek-", "kimi-", "glm-", "qwen", "ep-")


def authorize(upstream: Upstream, request: HttpRequest) -> None:
    """
    Check the API key.

    Raises:
        ArkError: 401 AuthenticationError.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or key != upstream.settings.credentials.ark_key:
        raise ArkError(401, "AuthenticationError", "The API key in the request is missing or invalid.")


async def read_body(request: HttpRequest, shape: type[S]) -> tuple[S, Any]:
    """
    The params, and the document from which they were read.

    Raises:
        ArkError: 400, with the field in `param`.
    """
    body = await request.body()
    try:
        document = msgspec.json.decode(body)
        return read(document, shape), document
    except msgspec.DecodeError as error:
        raise ArkError(400, "InvalidParameter", "The request body is not JSON.") from error
    except InvalidField as error:
        raise _field_error(error) from error


def _field_error(error: InvalidField) -> ArkError:
    if error.problem == "missing":
        return ArkError(400, "MissingParameter", f"The request lacks `{error.field}`.", param=error.field)
    return invalid(error.field, error.detail)


def invalid(param: str, why: str) -> ArkError:
    """The error for a field with an invalid value."""
    return ArkError(400, "InvalidParameter", f"The parameter `{param}` is not valid: {why}.", param=param)


def check_model(model: str, families: tuple[str, ...], *, but: tuple[str, ...] = ()) -> None:
    """
    Accept any model name of a known family.

    Raises:
        ArkError: 404.
    """
    if not model.startswith(families) or (but and model.startswith(but)):
        message = f"The model or endpoint {model} does not exist or you do not have access to it."
        raise ArkError(404, "InvalidEndpointOrModel.NotFound", message)
