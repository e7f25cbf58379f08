"""Pictures by Acme. Source: the pages of Acme's API, version 1, read on 2026-11-22."""

from typing import Annotated, Literal

from msgspec import Meta, Struct
from polyrelay import Answer, BearerAuth, Disabled, Done, Env, GenerationFailed, ImageOutput, Job, Model, Outcome
from polyrelay import Overloaded, Params, Pending, Provider, ProviderError, Rejected, TaskType, VendorHttp, hookimpl

POLYRELAY_API = ">=1.0,<2"


class PictureParams(Params, frozen=True, kw_only=True):
    prompt: Annotated[str, Meta(min_length=1, max_length=800)]
    size: Literal["512x512", "1024x1024"] = "1024x1024"


class Picture(Struct):  # only the fields that are used
    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
    state: str
    url: str | None = None


MODELS = (Model(name="acme-1", type=TaskType.IMAGE, params=PictureParams, timeout_s=120),)


class Pictures:
    models = MODELS

    def __init__(self, http: VendorHttp) -> None:
        self._http = http

    async def submit(self, job: Job[PictureParams]) -> Outcome:
        body = {"text": job.params.prompt, "size": job.params.size}
        return outcome((await self._http.submit("/v1/pictures", json=body)).read(Picture))

    async def poll(self, job: Job[PictureParams], operation: str) -> Outcome:
        return outcome((await self._http.query("GET", f"/v1/pictures/{operation}")).read(Picture))

    async def aclose(self) -> None:
        await self._http.aclose()


def outcome(picture: Picture) -> Outcome:
    if picture.state == "failed":
        raise GenerationFailed("acme could not draw it")
    if picture.state == "done" and picture.url:
        return Done(outputs=(ImageOutput(url=picture.url),))
    return Pending(operation=picture.id, poll_after_s=2.0)


def fault(answer: Answer) -> ProviderError | None:  # the vendor's own statuses; None: the usual meaning
    if answer.status == 451:
        return Rejected("acme does not draw this", reason="content_blocked", http_status=451)
    if answer.status == 409:
        return Overloaded("acme draws too many already", http_status=409)
    return None


@hookimpl
def register_providers(env: Env) -> list[Provider]:
    if (key := env.secret("ACME_API_KEY")) is None:
        return [Provider("acme", [Disabled(MODELS, "ACME_API_KEY is not set")])]
    url = env.text("ACME_URL", "https://api.acme.example")
    http = VendorHttp("acme", url, auth=BearerAuth(key.reveal()), fault=fault)
    return [Provider("acme", [Pictures(http)])]
