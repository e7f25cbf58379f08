"""The provider `openai`: GPT image, chat and Sora models."""

from collections.abc import Sequence
from typing import Final

from core.catalogue import Entry
from core.vendor_settings import VendorSettings, read_vendor_settings
from polyrelay import Disabled, Env, Provider, Secret, Service, hookimpl
from providers.catalogue import entries_of
from services.vendors import openai

NAME: Final = "openai"


@hookimpl
def register_providers(env: Env) -> list[Provider]:
    """One provider; without an API key its models are listed and refuse tasks."""
    settings = read_vendor_settings(env)
    entries = entries_of(settings.model_catalogue, NAME, openai.FAMILIES)
    if settings.openai_api_key is None:
        return [Provider(NAME, [_disabled(env, entries)])]
    return [Provider(NAME, _services(settings, settings.openai_api_key, entries))]


def _disabled(env: Env, entries: Sequence[Entry]) -> Disabled:
    models = (
        *openai.openai_image_models(entries),
        *openai.openai_chat_models(entries),
        *openai.openai_video_models(entries),
    )
    return Disabled(models, f"{env.missing('OPENAI_API_KEY')}")


def _services(settings: VendorSettings, api_key: Secret, entries: Sequence[Entry]) -> list[Service]:
    http = openai.openai_http(settings.openai_base_url, api_key, read_s=settings.ai_timeout_s)
    return [
        openai.OpenAIImages(entries, http),
        openai.OpenAIChat(entries, http),
        openai.OpenAIVideos(entries, http, poll_scale=settings.poll_scale),
    ]
