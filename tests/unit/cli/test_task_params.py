"""Params on the command line."""

from pathlib import Path
from typing import Any

import pytest

from cli.output import Misused
from cli.task_params import image_fields, params_of
from polyrelay.client import ModelView

SCHEMA: dict[str, Any] = {
    "properties": {
        "size": {"type": "string"},
        "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "scale": {"type": "number"},
        "watermark": {"type": "boolean"},
        "n": {"enum": [1, 2, 4]},
        "image_urls": {"type": "array", "items": {"type": "string"}},
        "size_or_edge": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "options": {"$ref": "#/$defs/Options"},
    },
    "$defs": {"Options": {"type": "object"}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("size=2048", "2048"),
        ("size=a=b", "a=b"),
        ("seed=7", 7),
        ("seed=null", None),
        ("scale=0.5", 0.5),
        ("watermark=false", False),
        ("watermark=yes", True),
        ("n=2", 2),
        ("image_urls=http://a/b", ["http://a/b"]),
        ('image_urls=["a","b"]', ["a", "b"]),
        ("size_or_edge=1K", "1K"),
        ("size_or_edge=1024", 1024),
        ('options={"a": 1}', {"a": 1}),
        ("priority=low", "low"),
        ("deadline_s=60", 60),
        ('metadata={"a": "b"}', {"a": "b"}),
    ],
)
def test_a_value_gets_the_type_in_the_schema(text: str, value: object) -> None:
    """The value of a name that the schema does not have is decoded if it is JSON, else it is text."""
    assert list(params_of([text], SCHEMA).values()) == [value]


def test_a_repeated_list_param_adds_items() -> None:
    """A param that is a list may be repeated."""
    assert params_of(["image_urls=a", "image_urls=b"], SCHEMA) == {"image_urls": ["a", "b"]}


@pytest.mark.parametrize("texts", [["size"], ["=1"], ["seed=x"], ["watermark=maybe"], ["size=1", "size=2"]])
def test_an_invalid_param_is_refused_with_its_name(texts: list[str]) -> None:
    """The message names the param."""
    with pytest.raises(Misused, match=f"--param {texts[0].partition('=')[0]}"):
        params_of(texts, SCHEMA)


def model(*fields: str) -> ModelView:
    return ModelView(provider="p", name="m", type="image", params={"properties": {field: {} for field in fields}})


def test_a_file_becomes_a_data_url_for_a_model_that_takes_links(tmp_path: Path) -> None:
    """A model with only `image_urls` gets files as data URLs, after the links."""
    file = tmp_path / "a.jpg"
    file.write_bytes(b"x")

    assert image_fields([file], ["http://l"], model("image_urls")) == {
        "image_urls": ["http://l", "data:image/jpeg;base64,eA=="]
    }


def test_links_are_sent_in_image_urls(tmp_path: Path) -> None:
    """This is so even if the model also takes files."""
    assert image_fields([], ["http://l"], model("image_urls", "binary_data_base64")) == {"image_urls": ["http://l"]}


def test_images_for_a_model_that_takes_none_are_refused(tmp_path: Path) -> None:
    """The message names the model."""
    with pytest.raises(Misused, match="takes no images"):
        image_fields([], ["http://l"], model("prompt"))


def test_files_and_links_together_are_refused_for_some_models(tmp_path: Path) -> None:
    """A model with two image fields accepts only one of them."""
    with pytest.raises(Misused, match="not both"):
        image_fields([tmp_path / "a"], ["http://l"], model("image_urls", "binary_data_base64"))
