"""Command-line params: converts `name=value` texts to the types in a model's JSON Schema."""

import base64
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from cli.output import Misused
from polyrelay.client import ModelView

Schema = Mapping[str, Any]

_BOOLEANS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def params_of(texts: Iterable[str], schema: Schema) -> dict[str, Any]:
    """
    Convert `name=value` texts to params. A repeated name adds an item if the model takes a list.

    Raises:
        Misused: A text has no `=`, or a value has the wrong type for its param.
    """
    given: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Misused(f"--param {text}: write name=value, such as --param size=2048x2048")
        given.setdefault(name.strip(), []).append(value)
    return {name: _value(name, values, _types_of(name, schema)) for name, values in given.items()}


def image_fields(files: Sequence[Path], urls: Sequence[str], model: ModelView) -> dict[str, Any]:
    """
    Put input images into the field that the model takes: `binary_data_base64` or `image_urls`.

    Raises:
        Misused: The model takes no images, or takes files or links but got both.
    """
    takes = model.params.get("properties", {})
    if not files and not urls:
        return {}
    if "binary_data_base64" not in takes and "image_urls" not in takes:
        raise Misused(f"{model.name} takes no images")
    if not files or "binary_data_base64" not in takes:
        return {"image_urls": [*urls, *map(_data_url, files)]}
    if urls:
        raise Misused(f"{model.name} takes images as files or as links, not both at once")
    return {"binary_data_base64": [_base64(file) for file in files]}


def fallbacks_of(texts: Iterable[str]) -> list[dict[str, str]]:
    """
    Convert `provider/model` texts to fallbacks. A model's name may contain slashes.

    Raises:
        Misused: A text has no provider or no model.
    """
    fallbacks = []
    for text in texts:
        provider, _, model = text.partition("/")
        if not provider or not model:
            raise Misused(f"--fallback {text}: write provider/model, such as --fallback openai/dall-e-3")
        fallbacks.append({"provider": provider, "model": model})
    return fallbacks


def _value(name: str, texts: Sequence[str], types: frozenset[str]) -> Any:
    if "array" in types and not texts[0].lstrip().startswith("["):
        return [_scalar(text) for text in texts]
    if len(texts) > 1:
        raise Misused(f"--param {name} was given {len(texts)} times and is not a list")
    return _typed(name, texts[0], types)


def _typed(name: str, text: str, types: frozenset[str]) -> Any:
    if not types:
        return _scalar(text)
    if "boolean" in types and text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if types & {"integer", "number", "array", "object", "null"}:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            value = text
        if not isinstance(value, str) and not isinstance(value, bool):
            return value
    if "string" in types:
        return text
    raise Misused(f"--param {name}={text}: must be {' or '.join(sorted(types - {'null'}))}")


def _scalar(text: str) -> Any:
    """A value of unknown type: decoded if it is JSON, else the text. The server validates it."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text


def _types_of(name: str, schema: Schema) -> frozenset[str]:
    found = schema.get("properties", {}).get(name)
    return _types(found, schema) if found is not None else frozenset()


def _types(part: Schema, schema: Schema) -> frozenset[str]:
    if "$ref" in part:
        return _types(schema.get("$defs", {}).get(part["$ref"].rpartition("/")[2], {}), schema)
    options = [*part.get("anyOf", ()), *part.get("oneOf", ())]
    if options:
        return frozenset().union(*(_types(option, schema) for option in options))
    if "type" in part:
        return frozenset({part["type"]}) if isinstance(part["type"], str) else frozenset(part["type"])
    return frozenset(_JSON_NAMES[type(value)] for value in part.get("enum", ()) if type(value) in _JSON_NAMES)


_JSON_NAMES: Final = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _base64(file: Path) -> str:
    return base64.b64encode(_bytes(file)).decode()


def _data_url(file: Path) -> str:
    media_type = mimetypes.guess_type(file.name)[0] or "image/png"
    return f"data:{media_type};base64,{_base64(file)}"


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror}") from error
