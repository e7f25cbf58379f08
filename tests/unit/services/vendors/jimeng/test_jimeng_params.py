"""Input of the Jimeng models."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from polyrelay import Job
from services.vendors.jimeng import Jimeng

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()
LINK = "https://pictures.test/a.png"
V21 = "jimeng_high_aes_general_v21_L"
V31 = "jimeng_t2i_v31"
V40 = "jimeng_t2i_v40"
I2I = "jimeng_i2i_v30"
T2V = "jimeng_t2v_v30"
PRO = "jimeng_ti2v_v30_pro"

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (V21, {}, "missing required field `prompt`"),
    (V21, {"prompt": "  "}, r"`\$.prompt`"),
    (
        V21,
        {"prompt": "a", "size": "1024x1024"},
        "'1024x1024' is not one of 512x512, 512x384, 384x512, 512x341, 341x512",
    ),
    (V21, {"prompt": "a", "width": 255, "height": 512}, r">= 256 - at `\$.width`"),
    (V21, {"prompt": "a", "width": 512}, "width 512 came alone"),
    (V21, {"prompt": "a", "height": 512}, "height 512 came alone"),
    (V21, {"prompt": "a", "size": "512x512", "width": 512, "height": 512}, "send one of the two"),
    (V21, {"prompt": "a", "image_urls": [LINK]}, "unknown field `image_urls`"),
    (V21, {"prompt": "a", "use_sr": "yes"}, r"`\$.use_sr`"),
    (V21, {"prompt": "a", "seed": -2}, r"`\$.seed`"),
    (V21, {"prompt": "a", "logo_info": {"position": 4}}, r"`\$.logo_info.position`"),
    (V21, {"prompt": "a", "logo_info": {"text": "x"}}, "unknown field `text`"),
    (V31, {"prompt": "a" * 801}, r"<= 800 - at `\$.prompt`"),
    (V31, {"prompt": "a", "size": "big"}, "size 'big' is not a size like 1024x768"),
    (V31, {"prompt": "a", "size": "511x512"}, "511x512 is not allowed: each side has 512 to 2048"),
    (V31, {"prompt": "a", "size": "2049x2048"}, "2049x2048 is not allowed"),
    (V31, {"prompt": "a", "size": "2048x600"}, "width to height is 3.41, allowed is 0.333 to 3"),
    (I2I, {"prompt": "a"}, "0 input images came; this model takes 1"),
    (I2I, {"prompt": "a", "image_urls": [LINK, LINK]}, "2 input images came; this model takes 1"),
    (I2I, {"prompt": "a", "image_urls": [LINK], "binary_data_base64": [PNG]}, "send one of the two"),
    (I2I, {"prompt": "a", "image_urls": ["file:///etc/passwd"]}, r"`\$.image_urls\[0\]`|`\$.image_urls\[\.\.\.\]`"),
    (I2I, {"prompt": "a", "binary_data_base64": ["not base64"]}, r"binary_data_base64\[0\] is not base64"),
    (I2I, {"prompt": "a", "binary_data_base64": [f"{PNG[:4]}\n{PNG[4:]}"]}, r"binary_data_base64\[0\] is not base64"),
    (V40, {"prompt": "a", "size": "9" * 10_000}, r"<= 16 - at `\$.size`"),
    (I2I, {"prompt": "a", "binary_data_base64": [f"data:image/png;base64,{PNG}"]}, "without the prefix"),
    (I2I, {"prompt": "a", "binary_data_base64": ["aGVsbG8="]}, "no known kind of picture; a JPEG or PNG"),
    (I2I, {"prompt": "a", "binary_data_base64": ["R0lGODlh"]}, "is image/gif; a JPEG or PNG"),
    (I2I, {"prompt": "a", "image_urls": [LINK], "scale": 1.1}, r"`\$.scale`"),
    (I2I, {"prompt": "a", "image_urls": [LINK], "size": "400x600"}, "each side has 512 to 2016"),
    (V40, {"prompt": "a", "size": "3K"}, "size '3K' is not 1K, 2K, 4K, a size like 2560x1440 or an area"),
    (V40, {"prompt": "a", "size": 4194304}, r"Expected `str \| null`, got `int` - at `\$.size`"),
    (V40, {"prompt": "a", "size": "1000000"}, "allowed are 1048576 to 16777216"),
    (V40, {"prompt": "a", "size": "1023x1024"}, "1047552 pixels, allowed are 1048576 to 16777216"),
    (V40, {"prompt": "a", "size": "4096x1024"}, "width to height is 4, allowed is 0.333 to 3"),
    (V40, {"prompt": "a", "min_ratio": 2, "max_ratio": 1}, "min_ratio 2 is above max_ratio 1"),
    (V40, {"prompt": "a", "max_ratio": 16}, r"`\$.max_ratio`"),
    (V40, {"prompt": "a", "image_urls": [LINK] * 11}, "11 input images came; this model takes 0 to 10"),
    (V40, {"prompt": "a", "aigc_meta": {}}, "missing required field `producer_id`"),
    (V40, {"prompt": "a", "seed": 1}, "unknown field `seed`"),
    ("jimeng_seedream46_cvtob", {"prompt": "a", "scale": 0.5}, r"`\$.scale`"),
    ("jimeng_seedream46_cvtob", {"prompt": "a", "image_urls": [LINK] * 15}, "takes 0 to 14"),
    (
        "jimeng_image2image_dream_inpaint",
        {"prompt": "a", "image_urls": [LINK]},
        "1 input images came; this model takes 2",
    ),
    ("jimeng_vgfm_t2v_l20", {"prompt": "a", "aspect_ratio": "9:21"}, r"'9:21' - at `\$.aspect_ratio`"),
    ("jimeng_vgfm_i2v_l20", {"prompt": "a"}, "0 input images came; this model takes 1"),
    (T2V, {"prompt": "a", "duration": 7}, r"`\$.duration`"),
    (T2V, {"prompt": "a", "frames": 120}, r"`\$.frames`"),
    (T2V, {"prompt": "a", "duration": 5, "frames": 121}, "duration 5 and frames 121 came; send one of the two"),
    (T2V, {"prompt": "a", "aigc_meta": {"producer_id": "p"}}, "missing required field `content_propagator`"),
    ("jimeng_i2v_first_tail_v30", {"prompt": "a", "image_urls": [LINK]}, "1 input images came; this model takes 2"),
    (
        "jimeng_i2v_recamera_v30",
        {"image_urls": [LINK], "camera_strength": "weak"},
        "missing required field `template_id`",
    ),
    (
        "jimeng_i2v_recamera_v30",
        {"image_urls": [LINK], "camera_strength": "weak", "template_id": "horizontal_pan_left"},
        "horizontal_pan_left",
    ),
    (PRO, {}, "neither a prompt nor an input image came"),
    (PRO, {"image_urls": [LINK], "aspect_ratio": "16:9"}, "aspect_ratio 16:9 came with an input image"),
    ("jimeng_realman_avatar_picture_omni_v15", {"image_urls": [LINK]}, "missing required field `audio_url`"),
]


@pytest.mark.parametrize(("model", "fields", "text"), REFUSED)
def test_bad_input_is_refused_with_a_reason(
    job_of: Callable[..., Job[Any]], model: str, fields: dict[str, Any], text: str
) -> None:
    """Input that the vendor would refuse or misinterpret is refused; the message names the field."""
    with pytest.raises(msgspec.ValidationError, match=text):
        job_of(model, **fields)


@pytest.mark.parametrize(
    "size", ["1024x1024", "2048x2048", "3024x1296", "1296x3024", "4096x4096", "6198x2656", "2656x6198", "16777216"]
)
def test_the_recommended_sizes_of_4_0_are_accepted(job_of: Callable[..., Job[Any]], size: str) -> None:
    """Each size that the vendor's page recommends is accepted, in both orientations."""
    assert size == job_of(V40, prompt="cat", size=size).params.size


@pytest.mark.parametrize("size", ["512x512", "512x384", "384x512", "512x341", "341x512", "512x288", "288x512"])
def test_the_seven_sizes_of_2_1_are_accepted(job_of: Callable[..., Job[Any]], size: str) -> None:
    """The seven sizes of 2.1 become width and height."""
    body = job_of(V21, prompt="cat", size=size).params.body()

    assert size == f"{body['width']}x{body['height']}"


def test_a_file_above_the_limit_is_refused(job_of: Callable[..., Job[Any]]) -> None:
    """A file larger than the model's limit is refused; the message has both sizes."""
    large = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(5 * 1024 * 1024)).decode()

    with pytest.raises(msgspec.ValidationError, match=r"has 5242888 bytes; this model takes up to 4928307"):
        job_of(I2I, prompt="cat", binary_data_base64=[large])


def test_files_above_the_limit_of_a_request_are_refused(job_of: Callable[..., Job[Any]]) -> None:
    """Files that make the request larger than 10 MB are refused; the message says to use links."""
    large = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(4 * 1024 * 1024)).decode()

    with pytest.raises(msgspec.ValidationError, match="use image_urls"):
        job_of(V40, prompt="cat", binary_data_base64=[large, large])


def test_null_means_unset(job_of: Callable[..., Job[Any]]) -> None:
    """An optional field that is null counts as unset."""
    assert job_of(V40, prompt="cat").params == job_of(V40, prompt="cat", size=None, width=None, scale=None).params


def test_params_survive_storage(jimeng: Jimeng, job_of: Callable[..., Job[Any]]) -> None:
    """Params that are stored and read again are equal, so a poll uses the params of the submit."""
    params = job_of(V40, prompt="cat", size="2K", binary_data_base64=[PNG], force_single=False).params

    assert params == msgspec.convert(msgspec.to_builtins(params), type(params))
