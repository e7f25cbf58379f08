"""OpenAI: images, texts and videos, with an API key."""

from services.vendors.model_families import Families
from services.vendors.openai.chat import CHAT_FAMILIES, OpenAIChat, openai_chat_models
from services.vendors.openai.http import openai_http
from services.vendors.openai.images import IMAGE_FAMILIES, OpenAIImages, openai_image_models
from services.vendors.openai.videos import VIDEO_FAMILIES, OpenAIVideos, openai_video_models

FAMILIES: Families = {**IMAGE_FAMILIES, **CHAT_FAMILIES, **VIDEO_FAMILIES}

__all__ = [
    "CHAT_FAMILIES",
    "FAMILIES",
    "IMAGE_FAMILIES",
    "VIDEO_FAMILIES",
    "OpenAIChat",
    "OpenAIImages",
    "OpenAIVideos",
    "openai_chat_models",
    "openai_http",
    "openai_image_models",
    "openai_video_models",
]
