"""The provider `volcengine`: Jimeng on the visual API, and the Doubao models on Ark."""

from collections.abc import Sequence
from typing import Final

from core.catalogue import Entry, of_families
from core.vendor_settings import VendorSettings, read_vendor_settings
from polyrelay import Disabled, Env, Provider, Service, hookimpl
from providers.catalogue import entries_of
from services.vendors import ark, jimeng

NAME: Final = "volcengine"


@hookimpl
def register_providers(env: Env) -> list[Provider]:
    """One provider; the models of a vendor API without credentials are listed and refuse tasks."""
    settings = read_vendor_settings(env)
    entries = entries_of(settings.model_catalogue, NAME, {**jimeng.FAMILIES, **ark.FAMILIES})
    return [Provider(NAME, [_jimeng(env, settings, entries), *_ark(env, settings, entries)])]


def _jimeng(env: Env, settings: VendorSettings, entries: Sequence[Entry]) -> Service:
    own = of_families(entries, NAME, jimeng.FAMILIES)
    access_key, secret_key = settings.volcengine_access_key, settings.volcengine_secret_key
    if access_key is None or secret_key is None:
        reason = env.missing("VOLCENGINE_ACCESS_KEY", "VOLCENGINE_SECRET_KEY")
        return Disabled(jimeng.jimeng_models(own), f"{reason}")
    http = jimeng.jimeng_http(settings.volcengine_visual_url, access_key, secret_key, read_s=settings.ai_timeout_s)
    return jimeng.Jimeng(own, http, poll_scale=settings.poll_scale)


def _ark(env: Env, settings: VendorSettings, entries: Sequence[Entry]) -> list[Service]:
    if settings.ark_api_key is None:
        models = (*ark.ark_image_models(entries), *ark.ark_chat_models(entries), *ark.ark_video_models(entries))
        return [Disabled(models, f"{env.missing('ARK_API_KEY')}")]
    http = ark.ark_http(settings.ark_base_url, settings.ark_api_key, read_s=settings.ai_timeout_s)
    return [
        ark.ArkImages(entries, http),
        ark.ArkChat(entries, http),
        ark.ArkVideos(entries, http, poll_scale=settings.poll_scale),
    ]
