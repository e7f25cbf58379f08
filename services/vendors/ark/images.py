"""
Ark image models: Seedream and SeedEdit.

Source: Ark's page of the image API (docs/82379/1541523), a copy of September 2025, and `volcengine-ark-runtime`
5.0.54, read on 2026-11-22.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from core.catalogue import Entry
from polyrelay import Done, Job, Model, OutcomeUnknown, ProtocolError, TaskType, VendorHttp
from services.vendors.ark.image_answers import Group, read_images
from services.vendors.ark.image_params import (
    ImageParams,
    SeedEdit3Params,
    Seedream3Params,
    Seedream4Params,
    Seedream5Params,
    Seedream45Params,
)
from services.vendors.model_families import Families, ModelFamily, SynchronousService, given, models_of

PATH: Final = "/images/generations"


class ArkImages(SynchronousService):
    """Images by Seedream and SeedEdit."""

    def __init__(self, entries: Sequence[Entry], http: VendorHttp) -> None:
        super().__init__(entries, http, families=IMAGE_FAMILIES, path=PATH, read=read_images)

    async def submit(self, job: Job[Any]) -> Done:
        """
        Send the request and wait for the images.

        A group takes minutes and is requested as a stream. Each event shows that Ark is still working. If the
        connection breaks, the images received so far, which are billed, are the result.
        """
        body = self._requests.body(job)
        return await self._group(body) if "stream" in body else await super().submit(job)

    async def _group(self, body: Mapping[str, object]) -> Done:
        group = Group()
        try:
            async with aclosing(self._http.events(PATH, json=body)) as events:
                async for data in events:
                    group.add(data)
        except (OutcomeUnknown, ProtocolError):
            if not group.pictures:
                raise
        return group.done()


def ark_image_models(entries: Iterable[Entry]) -> tuple[Model, ...]:
    """What `ArkImages` serves of these entries."""
    return models_of(entries, IMAGE_FAMILIES)


def _shared(model: str, params: ImageParams) -> dict[str, object]:
    """The field `watermark` is always sent, because Ark's default is to add one."""
    return {
        "model": model,
        "prompt": params.prompt,
        "response_format": params.response_format,
        "watermark": params.watermark,
    }


def _seedream_3(model: str, params: Seedream3Params) -> Mapping[str, object]:
    return {**_shared(model, params), "size": params.size, **given(params, "seed", "guidance_scale")}


def _seededit_3(model: str, params: SeedEdit3Params) -> Mapping[str, object]:
    return {
        **_shared(model, params),
        "image": params.image_urls[0],
        "size": "adaptive",
        **given(params, "seed", "guidance_scale"),
    }


def _seedream_4(model: str, params: Seedream4Params) -> Mapping[str, object]:
    """A group is requested only where `n` is above 1: with `auto` the model decides how many images are billed."""
    images = {"image": list(params.image_urls)} if params.image_urls else {}
    return {**_shared(model, params), "size": params.size, **images, **_sequence(params.n)}


def _seedream_5(model: str, params: Seedream5Params) -> Mapping[str, object]:
    return {**_seedream_4(model, params), **given(params, "output_format")}


def _sequence(n: int) -> Mapping[str, object]:
    if n == 1:
        return {"sequential_image_generation": "disabled"}
    return {
        "sequential_image_generation": "auto",
        "sequential_image_generation_options": {"max_images": n},
        "stream": True,
    }


IMAGE_FAMILIES: Final[Families] = {
    "seedream-3": ModelFamily(type=TaskType.IMAGE, params=Seedream3Params, timeout_s=300.0, request=_seedream_3),
    "seededit-3": ModelFamily(type=TaskType.IMAGE, params=SeedEdit3Params, timeout_s=300.0, request=_seededit_3),
    "seedream-4": ModelFamily(type=TaskType.IMAGE, params=Seedream4Params, timeout_s=900.0, request=_seedream_4),
    "seedream-4-5": ModelFamily(type=TaskType.IMAGE, params=Seedream45Params, timeout_s=900.0, request=_seedream_4),
    "seedream-5": ModelFamily(type=TaskType.IMAGE, params=Seedream5Params, timeout_s=900.0, request=_seedream_5),
}
