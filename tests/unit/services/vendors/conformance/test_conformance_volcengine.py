"""The built-in provider volcengine in the conformance kit: Jimeng on the visual API, Doubao on Ark."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from polyrelay.testing import ProviderContract, Reply, Talk
from providers import volcengine

Params: TypeAlias = Mapping[str, Any]

KEYS = {
    "ARK_API_KEY": "made-up-ark-key",
    "VOLCENGINE_ACCESS_KEY": "made-up-access-key",
    "VOLCENGINE_SECRET_KEY": "made-up-secret-key",
}
LINK = "https://pictures.example/a.png"
VIDEO = "https://videos.example/a.mp4"
JIMENG_REFUSED = Reply(status=400, json={"code": 50200, "message": "Parameter error", "request_id": "r1"})
ARK_REFUSED = Reply(
    status=400, json={"error": {"code": "InvalidParameter", "message": "size is wrong", "param": "size"}}
)
PICTURE_EVENTS = (
    b'data: {"type":"image_generation.partial_succeeded","url":"https://pictures.example/a.png"}\n\n'
    b'data: {"type":"image_generation.completed","usage":{"generated_images":1}}\n\n'
    b"data: [DONE]\n\n"
)
CHAT_PIECES = (
    b'data: {"choices":[{"delta":{"content":"Fo"}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"xes"},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}\n\n'
    b"data: [DONE]\n\n"
)


def visual(data: Params) -> Reply:
    """A success answer of the visual API."""
    return Reply(json={"code": 10000, "data": data, "message": "Success", "request_id": "r1"})


def deferred(model: str, params: Params, result: Params, also: Mapping[str, Params]) -> Talk:
    """Jimeng models that are polled for their result."""
    return Talk(
        model=model,
        params=params,
        accepted=visual({"task_id": "7392616336519610409"}),
        refused=JIMENG_REFUSED,
        working=visual({"status": "generating"}),
        done=visual({"status": "done", **result}),
        failed=visual({"status": "expired"}),
        also=also,
    )


FOX: Params = {"prompt": "a fox"}
FROM_ONE: Params = {"prompt": "a fox", "image_urls": [LINK]}
FROM_TWO: Params = {"prompt": "a fox", "image_urls": [LINK, LINK]}

JIMENG_AT_ONCE = Talk(
    model="jimeng_high_aes_general_v21_L",
    params={**FOX, "size": "512x384"},
    accepted=visual({"image_urls": [LINK], "binary_data_base64": []}),
    refused=JIMENG_REFUSED,
    also={"img2img_inpainting_edit_zi2i": FROM_TWO},
)
JIMENG_PICTURES = deferred(
    "jimeng_t2i_v30",
    {**FOX, "size": "1472x1104"},
    {"image_urls": [LINK]},
    also={
        "jimeng_i2i_v30": FROM_ONE,
        "jimeng_t2i_v40": {**FOX, "size": "2K"},
        "jimeng_seedream46_cvtob": FOX,
        "jimeng_image2image_dream_inpaint": FROM_TWO,
    },
)
JIMENG_VIDEOS = deferred(
    "jimeng_vgfm_t2v_l20",
    FOX,
    {"video_url": VIDEO},
    also={
        "jimeng_vgfm_i2v_l20": FROM_ONE,
        "jimeng_t2v_v30": FOX,
        "jimeng_i2v_first_v30": FROM_ONE,
        "jimeng_i2v_first_tail_v30": FROM_TWO,
        "jimeng_i2v_recamera_v30": {**FROM_ONE, "template_id": "handheld", "camera_strength": "weak"},
        "jimeng_ti2v_v30_pro": FOX,
        "jimeng_realman_avatar_picture_omni_v15": {"image_urls": [LINK], "audio_url": "https://a.example/a.mp3"},
    },
)
ARK_PICTURES = Talk(
    model="doubao-seedream-3-0-t2i-250415",
    params={**FOX, "seed": 3},
    accepted=Reply(json={"data": [{"url": LINK}], "usage": {"generated_images": 1, "output_tokens": 5}}),
    refused=ARK_REFUSED,
    also={
        "doubao-seededit-3-0-i2i-250628": FROM_ONE,
        "doubao-seedream-4-0-250828": {**FOX, "size": "2K"},
        "doubao-seedream-4-5-251128": {**FOX, "size": "2K"},
    },
)
ARK_GROUPS = Talk(
    model="doubao-seedream-5-0-260128",
    params={**FOX, "n": 2},
    accepted=Reply(body=PICTURE_EVENTS, headers={"content-type": "text/event-stream"}),
    refused=ARK_REFUSED,
)
ARK_CHAT = Talk(
    model="doubao-pro-4k",
    params={**FOX, "max_tokens": 100},
    accepted=Reply(
        json={
            "choices": [{"message": {"content": "Foxes"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        }
    ),
    refused=ARK_REFUSED,
    streamed=Reply(body=CHAT_PIECES, headers={"content-type": "text/event-stream"}),
)
ARK_VIDEOS = Talk(
    model="doubao-seedance-1-0-pro-250528",
    params={**FOX, "duration": 10},
    accepted=Reply(json={"id": "cgt-1"}),
    refused=ARK_REFUSED,
    working=Reply(json={"id": "cgt-1", "status": "queued"}),
    done=Reply(
        json={
            "id": "cgt-1",
            "status": "succeeded",
            "content": {"video_url": VIDEO},
            "usage": {"completion_tokens": 9, "total_tokens": 9},
            "duration": 5,
        }
    ),
    failed=Reply(json={"id": "cgt-1", "status": "failed", "error": {"code": "InternalError", "message": "sorry"}}),
    cancelled=[Reply(json={"id": "cgt-1", "status": "queued"}), Reply(json={})],
    too_late=Reply(json={"id": "cgt-1", "status": "running"}),
    also={
        "doubao-seedance-1-5-pro-251215": FOX,
        "doubao-seedance-2-0-260128": FOX,
        "doubao-seedance-2-0-fast-260128": FOX,
        "doubao-seedance-2-5-260628": FOX,
    },
)


class TestVolcengine(ProviderContract):
    """Each service and each class of params, with the vendor's documented answers."""

    plugin = volcengine
    env = KEYS
    talks = (JIMENG_AT_ONCE, JIMENG_PICTURES, JIMENG_VIDEOS, ARK_PICTURES, ARK_GROUPS, ARK_CHAT, ARK_VIDEOS)
