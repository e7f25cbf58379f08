"""Example bodies of creates, shown in the API documentation."""

from collections.abc import Mapping
from typing import Any, Final

from polyrelay import TaskType

EXAMPLES: Final[Mapping[TaskType, tuple[Mapping[str, Any], ...]]] = {
    TaskType.IMAGE: (
        {
            "provider": "volcengine",
            "model": "doubao-seedream-4-0-250828",
            "user_id": "user-1",
            "prompt": "a red fox in the snow, morning light",
            "size": "2K",
        },
        {
            "provider": "volcengine",
            "model": "doubao-seedream-3-0-t2i-250415",
            "user_id": "user-1",
            "prompt": "a red fox in the snow, morning light",
            "size": "1024x1024",
        },
        {
            "provider": "volcengine",
            "model": "jimeng_high_aes_general_v21_L",
            "user_id": "user-1",
            "prompt": "a red fox in the snow, morning light",
            "size": "512x512",
        },
        {
            "provider": "volcengine",
            "model": "jimeng_t2i_v40",
            "user_id": "user-1",
            "prompt": "a red fox in the snow, morning light",
        },
        {
            "provider": "openai",
            "model": "dall-e-3",
            "user_id": "user-1",
            "prompt": "a red fox in the snow, morning light",
            "size": "1024x1024",
        },
    ),
    TaskType.VIDEO: (
        {
            "provider": "volcengine",
            "model": "jimeng_vgfm_t2v_l20",
            "user_id": "user-1",
            "prompt": "waves roll onto a beach at sunset",
            "aspect_ratio": "16:9",
            "metadata": {"order": "4711"},
        },
        {
            "provider": "openai",
            "model": "sora",
            "user_id": "user-1",
            "prompt": "waves roll onto a beach at sunset",
            "deadline_s": 1200,
        },
    ),
    TaskType.TEXT: (
        {
            "provider": "volcengine",
            "model": "doubao-pro-4k",
            "user_id": "user-1",
            "prompt": "Write a haiku about queues.",
            "max_tokens": 200,
            "temperature": 0.7,
        },
        {
            "provider": "openai",
            "model": "gpt-4",
            "user_id": "user-1",
            "prompt": "Write a haiku about queues.",
            "max_tokens": 200,
        },
    ),
}
"""One for each model that the first version served."""
