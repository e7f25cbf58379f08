"""The params of every Volcengine `req_key`."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from simulator.errors import VisualError
from simulator.validation import InvalidField, read
from simulator.visual_keys import CAPABILITIES


def picture(width: int = 640, height: int = 480, form: str = "PNG") -> str:
    """A picture as base64."""
    target = io.BytesIO()
    Image.new("RGB", (width, height)).save(target, form)
    return base64.b64encode(target.getvalue()).decode()


LINK = "https://example.com/a.png"
MINIMAL: dict[str, dict[str, Any]] = {
    "jimeng_high_aes_general_v21_L": {"prompt": "猫"},
    "img2img_inpainting_edit_zi2i": {"custom_prompt": "猫", "image_urls": [LINK, LINK]},
    "jimeng_realman_avatar_object_detection": {"image_url": LINK},
    "jimeng_realman_avatar_picture_create_role_omni_v15": {"image_url": LINK},
    "jimeng_realman_avatar_picture_omni_v15": {"image_url": LINK, "audio_url": "https://example.com/a.mp3"},
    "jimeng_t2i_v30": {"prompt": "猫"},
    "jimeng_t2i_v31": {"prompt": "猫"},
    "jimeng_i2i_v30": {"prompt": "猫", "image_urls": [LINK]},
    "jimeng_t2i_v40": {"prompt": "猫"},
    "jimeng_seedream46_cvtob": {"prompt": "猫", "scale": 50},
    "jimeng_image2image_dream_inpaint": {"prompt": "删除", "binary_data_base64": [picture(), picture()]},
    "jimeng_vgfm_t2v_l20": {"prompt": "猫"},
    "jimeng_vgfm_i2v_l20": {"image_urls": [LINK]},
    "jimeng_t2v_v30": {"prompt": "猫"},
    "jimeng_t2v_v30_1080p": {"prompt": "猫"},
    "jimeng_i2v_first_v30": {"prompt": "猫", "image_urls": [LINK]},
    "jimeng_i2v_first_v30_1080": {"prompt": "猫", "image_urls": [LINK]},
    "jimeng_i2v_first_tail_v30": {"prompt": "猫", "image_urls": [LINK, LINK]},
    "jimeng_i2v_first_tail_v30_1080": {"prompt": "猫", "image_urls": [LINK, LINK]},
    "jimeng_i2v_recamera_v30": {"template_id": "robo_arm", "camera_strength": "weak", "image_urls": [LINK]},
    "jimeng_ti2v_v30_pro": {"prompt": "猫"},
}


def planned(key: str, **fields: Any) -> tuple[int, int, str, int, int]:
    """Width, height, format, count and length of what a request yields."""
    plan = read({"req_key": key, **MINIMAL[key], **fields}, CAPABILITIES[key].params).plan()
    return plan.width, plan.height, plan.format, plan.count, plan.duration_s


@pytest.mark.parametrize("key", sorted(CAPABILITIES))
def test_every_key_takes_its_required_fields_alone(key: str) -> None:
    """No key needs more than the vendor's page marks as required; null counts as unset."""
    assert planned(key, seed=None)[0] > 0


@pytest.mark.parametrize(
    ("key", "fields", "yields"),
    [
        ("jimeng_high_aes_general_v21_L", {}, (1024, 1024, "jpeg", 1, 0)),
        ("jimeng_high_aes_general_v21_L", {"width": 512, "height": 341, "use_sr": False}, (512, 341, "jpeg", 1, 0)),
        ("jimeng_t2i_v31", {}, (1328, 1328, "png", 1, 0)),
        ("jimeng_t2i_v31", {"width": 1664}, (1328, 1328, "png", 1, 0)),
        ("jimeng_t2i_v31", {"width": 1664, "height": 936}, (1664, 936, "png", 1, 0)),
        ("jimeng_i2i_v30", {"width": 2016, "height": 1001}, (1536, 1008, "jpeg", 1, 0)),
        ("jimeng_t2i_v40", {}, (2048, 2048, "jpeg", 1, 0)),
        ("jimeng_t2i_v40", {"prompt": "4张猫"}, (2048, 2048, "jpeg", 4, 0)),
        ("jimeng_t2i_v40", {"prompt": "4张猫", "force_single": True}, (2048, 2048, "jpeg", 1, 0)),
        ("jimeng_t2i_v40", {"prompt": "20张猫", "image_urls": [LINK] * 10}, (2048, 2048, "jpeg", 5, 0)),
        ("jimeng_t2i_v40", {"width": 2560, "height": 1440, "size": 1048576}, (2560, 1440, "jpeg", 1, 0)),
        ("jimeng_vgfm_t2v_l20", {"aspect_ratio": "21:9"}, (1680, 720, "mp4", 1, 5)),
        ("jimeng_t2v_v30", {"frames": 241}, (1248, 704, "mp4", 1, 10)),
        ("jimeng_t2v_v30_1080p", {"aspect_ratio": "9:16"}, (1088, 1920, "mp4", 1, 5)),
        ("jimeng_ti2v_v30_pro", {"aspect_ratio": "1:1"}, (1440, 1440, "mp4", 1, 5)),
    ],
)
def test_a_request_yields_what_the_page_says(
    key: str, fields: dict[str, Any], yields: tuple[int, int, str, int, int]
) -> None:
    """Sizes, counts, formats and lengths follow the vendor's pages."""
    assert planned(key, **fields) == yields


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("jimeng_high_aes_general_v21_L", {"width": 769}),
        ("jimeng_high_aes_general_v21_L", {"width": "512"}),
        ("jimeng_t2i_v31", {"prompt": "猫" * 801}),
        ("jimeng_t2i_v31", {"width": 2048, "height": 512}),
        ("jimeng_i2i_v30", {"image_urls": []}),
        ("jimeng_i2i_v30", {"binary_data_base64": [picture()]}),
        ("jimeng_i2i_v30", {"scale": 1.5}),
        ("jimeng_t2i_v40", {"size": 100}),
        ("jimeng_t2i_v40", {"image_urls": [LINK] * 11}),
        ("jimeng_t2i_v40", {"width": 4096, "height": 1024}),
        ("jimeng_seedream46_cvtob", {"scale": 0.5}),
        ("jimeng_t2v_v30", {"frames": 100}),
        ("jimeng_t2v_v30", {"aspect_ratio": "9:21"}),
        ("jimeng_i2v_first_tail_v30", {"image_urls": [LINK]}),
        ("jimeng_i2v_recamera_v30", {"template_id": "horizontal_pan_left"}),
        ("jimeng_ti2v_v30_pro", {"prompt": ""}),
        ("jimeng_realman_avatar_picture_omni_v15", {"audio_url": None}),
    ],
)
def test_values_beyond_the_limits_are_refused(key: str, fields: dict[str, Any]) -> None:
    """Each limit of the pages is checked, types strictly."""
    with pytest.raises((VisualError, InvalidField)):
        planned(key, **fields)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (picture(5000, 1700), 50205),
        (picture(300, 300), 50205),
        (picture(1600, 400), 50200),
        (picture(form="GIF"), 50207),
        ("not base64", 50207),
        (base64.b64encode(b"no picture").decode(), 50207),
    ],
)
def test_an_unusable_picture_has_its_own_code(text: str, code: int) -> None:
    """Too large, undecodable and ill-shaped pictures are told apart."""
    with pytest.raises(VisualError) as caught:
        planned("jimeng_i2v_first_v30", image_urls=[], binary_data_base64=[text])
    assert caught.value.code == code
