"""Volcengine Ark (火山方舟): images, texts and videos of the Doubao models, with an API key."""

from services.vendors.ark.chat import CHAT_FAMILIES, ArkChat, ark_chat_models
from services.vendors.ark.http import ark_http
from services.vendors.ark.images import IMAGE_FAMILIES, ArkImages, ark_image_models
from services.vendors.ark.videos import VIDEO_FAMILIES, ArkVideos, ark_video_models
from services.vendors.model_families import Families

FAMILIES: Families = {**IMAGE_FAMILIES, **CHAT_FAMILIES, **VIDEO_FAMILIES}

__all__ = [
    "CHAT_FAMILIES",
    "FAMILIES",
    "IMAGE_FAMILIES",
    "VIDEO_FAMILIES",
    "ArkChat",
    "ArkImages",
    "ArkVideos",
    "ark_chat_models",
    "ark_http",
    "ark_image_models",
    "ark_video_models",
]
