"""The provider `openai`: GPT image, chat and Sora models."""

from collections.abc import Sequence
from typing import Final

from core.catalogue import Entry
from polyrelay import Disabled, Env, Provider, Service, hookimpl
from providers.catalogue import entries_of
from providers.timing import poll_scale, read_timeout_s
from services.vendors import openai

NAME: Final = "openai"
URL: Final = "https://api.openai.com/v1"


@hookimpl
def register_providers(env: Env) -> list[Provider]:
    """One provider; without a key its models are listed and refuse tasks."""
    return [Provider(NAME, _services(env, entries_of(env, NAME, openai.FAMILIES)))]


def _services(env: Env, entries: Sequence[Entry]) -> list[Service]:
    api_key = env.secret("OPENAI_API_KEY")
    if api_key is None:
        models = (
            *openai.openai_image_models(entries),
            *openai.openai_chat_models(entries),
            *openai.openai_video_models(entries),
        )
        return [Disabled(models, f"{env.missing('OPENAI_API_KEY')}")]
    http = openai.openai_http(env.text("OPENAI_BASE_URL", URL), api_key, read_s=read_timeout_s(env))
    return [
        openai.OpenAIImages(entries, http),
        openai.OpenAIChat(entries, http),
        openai.OpenAIVideos(entries, http, poll_scale=poll_scale(env)),
    ]
