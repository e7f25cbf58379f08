"""The built-in Jimeng models."""

import re
from pathlib import Path

import msgspec
import pytest

from core.catalogue import Entry, read_catalogue
from polyrelay import TaskType
from services.vendors.jimeng import FAMILIES, Jimeng, jimeng_models

CATALOGUE = Path(__file__).parents[5] / "providers" / "catalogue" / "jimeng.toml"
ENTRIES = read_catalogue(CATALOGUE)

IMAGES = {
    "jimeng_high_aes_general_v21_L",
    "jimeng_t2i_v30",
    "jimeng_t2i_v31",
    "jimeng_t2i_v40",
    "jimeng_i2i_v30",
    "jimeng_seedream46_cvtob",
    "jimeng_image2image_dream_inpaint",
    "img2img_inpainting_edit_zi2i",
}
VIDEOS = {
    "jimeng_vgfm_t2v_l20",
    "jimeng_vgfm_i2v_l20",
    "jimeng_t2v_v30",
    "jimeng_t2v_v30_1080p",
    "jimeng_i2v_first_v30",
    "jimeng_i2v_first_v30_1080",
    "jimeng_i2v_first_tail_v30",
    "jimeng_i2v_first_tail_v30_1080",
    "jimeng_i2v_recamera_v30",
    "jimeng_ti2v_v30_pro",
    "jimeng_realman_avatar_picture_omni_v15",
}


def test_every_key_is_there_with_its_type() -> None:
    """The catalogue has every `req_key` of the vendor's pages, with the correct type."""
    types = {model.name: model.type for model in jimeng_models(ENTRIES)}

    assert types == dict.fromkeys(IMAGES, TaskType.IMAGE) | dict.fromkeys(VIDEOS, TaskType.VIDEO)


def test_every_family_has_a_model() -> None:
    """Each family has a model in the catalogue."""
    assert set(FAMILIES) == {entry.family for entry in ENTRIES}


def test_every_entry_is_ready_to_be_shown() -> None:
    """Each entry belongs to the provider volcengine and has a one-line description."""
    for entry in ENTRIES:
        assert entry.provider == "volcengine"
        assert re.fullmatch(r"[A-Z][^\n]{20,120}\.", entry.description)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_publishes_a_schema(name: str) -> None:
    """The params have a JSON Schema that allows no further fields, so they can be published."""
    params = FAMILIES[name].params
    schema = msgspec.json.schema(params)["$defs"][params.__name__]

    assert schema["additionalProperties"] is False
    assert msgspec.json.encode(schema)


def test_an_entry_adds_a_name_without_code() -> None:
    """An entry with a known family is a model with the entry's time limit; the vendor's name is not shown."""
    entry = Entry(
        provider="volcengine", name="mine", family="jimeng-image-v40", upstream="jimeng_t2i_v41", timeout_s=60
    )

    (model,) = jimeng_models([entry])

    assert ("mine", 60, FAMILIES["jimeng-image-v40"].params) == (model.name, model.timeout_s, model.params)


def test_no_model_promises_idempotent_submits() -> None:
    """The vendor has no idempotency key, so a submit is never repeated automatically."""
    assert not any(model.idempotent_submit for model in jimeng_models(ENTRIES))


def test_an_unknown_family_is_named() -> None:
    """An entry with an unknown family is an error that lists the families."""
    with pytest.raises(ValueError, match=r"'mine': family 'jimeng-v9' is not one of jimeng-general-v21"):
        jimeng_models([Entry(provider="volcengine", name="mine", family="jimeng-v9")])


def test_the_service_serves_the_catalogue(jimeng: Jimeng) -> None:
    """The service has the same models with and without credentials."""
    assert jimeng_models(ENTRIES) == tuple(jimeng.models)
