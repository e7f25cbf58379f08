"""The provider `volcengine`: Jimeng on the visual API, and the Doubao models on Ark."""

from collections.abc import Sequence
from typing import Final

from core.catalogue import Entry, of_families
from polyrelay import Disabled, Env, Provider, Service, hookimpl
from providers.catalogue import entries_of
from providers.timing import poll_scale, read_timeout_s
from services.vendors import ark, jimeng

NAME: Final = "volcengine"
ARK_URL: Final = "https://ark.cn-beijing.volces.com/api/v3"
VISUAL_URL: Final = "https://visual.volcengineapi.com"


@hookimpl
def register_providers(env: Env) -> list[Provider]:
    """One provider; a vendor service without credentials is listed and refuses tasks."""
    entries = entries_of(env, NAME, {**jimeng.FAMILIES, **ark.FAMILIES})
    return [Provider(NAME, [_jimeng(env, entries), *_ark(env, entries)])]


def _jimeng(env: Env, entries: Sequence[Entry]) -> Service:
    mine = of_families(entries, NAME, jimeng.FAMILIES)
    access_key, secret_key = env.secret("VOLCENGINE_ACCESS_KEY"), env.secret("VOLCENGINE_SECRET_KEY")
    if access_key is None or secret_key is None:
        reason = env.missing("VOLCENGINE_ACCESS_KEY", "VOLCENGINE_SECRET_KEY")
        return Disabled(jimeng.jimeng_models(mine), f"{reason}")
    http = jimeng.jimeng_http(
        env.text("VOLCENGINE_VISUAL_URL", VISUAL_URL), access_key, secret_key, read_s=read_timeout_s(env)
    )
    return jimeng.Jimeng(mine, http, poll_scale=poll_scale(env))


def _ark(env: Env, entries: Sequence[Entry]) -> list[Service]:
    api_key = env.secret("ARK_API_KEY")
    if api_key is None:
        models = (*ark.ark_image_models(entries), *ark.ark_chat_models(entries), *ark.ark_video_models(entries))
        return [Disabled(models, f"{env.missing('ARK_API_KEY')}")]
    http = ark.ark_http(env.text("ARK_BASE_URL", ARK_URL), api_key, read_s=read_timeout_s(env))
    return [
        ark.ArkImages(entries, http),
        ark.ArkChat(entries, http),
        ark.ArkVideos(entries, http, poll_scale=poll_scale(env)),
    ]
