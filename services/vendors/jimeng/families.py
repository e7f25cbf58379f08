"""
Model families of Jimeng. An entry of the catalogue adds a model name to one of them.

Source of the Actions: the vendor's pages, in copies read on 2026-11-22.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from msgspec import Struct

from polyrelay import TaskType
from services.vendors.jimeng import params_images as images
from services.vendors.jimeng import params_videos as videos
from services.vendors.jimeng.fields import JimengParams

JimengParamsClass: TypeAlias = type[JimengParams]

IMAGE_LINK_LIFETIME_S: Final = 24 * 3600.0
VIDEO_LINK_LIFETIME_S: Final = 3600.0


class Calls(Struct, frozen=True):
    """
    The vendor's Actions of a family.

    Attributes:
        submit: Starts the generation.
        query: Asks for the result, or None where the answer to `submit` has it.
    """

    submit: str
    query: str | None


SYNCHRONOUS: Final = Calls("CVProcess", None)
DEFERRED: Final = Calls("CVSync2AsyncSubmitTask", "CVSync2AsyncGetResult")
DEFERRED_HUMAN: Final = Calls("CVSubmitTask", "CVGetResult")


class JimengFamily(Struct, frozen=True, kw_only=True):
    """
    What several Jimeng models have in common.

    Attributes:
        type: The kind of output.
        params: Class of the input.
        calls: The vendor's Actions.
        timeout_s: Longest time from the first submit to the outcome, in seconds; an entry of the catalogue may replace
            it. The vendor deletes a task after twelve hours.
    """

    type: TaskType
    params: JimengParamsClass
    calls: Calls = DEFERRED
    timeout_s: float

    @property
    def poll_after_s(self) -> float:
        """Pause between two polls, in seconds."""
        return 5.0 if self.type is TaskType.VIDEO else 2.0

    @property
    def link_lifetime_s(self) -> float:
        """Lifetime of a link to a result, in seconds."""
        return VIDEO_LINK_LIFETIME_S if self.type is TaskType.VIDEO else IMAGE_LINK_LIFETIME_S


def _image(params: JimengParamsClass, calls: Calls = DEFERRED) -> JimengFamily:
    timeout_s = 300.0 if calls.query is None else 900.0
    return JimengFamily(type=TaskType.IMAGE, params=params, calls=calls, timeout_s=timeout_s)


def _video(params: JimengParamsClass, calls: Calls = DEFERRED) -> JimengFamily:
    return JimengFamily(type=TaskType.VIDEO, params=params, calls=calls, timeout_s=3600.0)


FAMILIES: Final[Mapping[str, JimengFamily]] = MappingProxyType(
    {
        "jimeng-general-v21": _image(images.GeneralV21, SYNCHRONOUS),
        "jimeng-t2i-v3": _image(images.TextToImageV3),
        "jimeng-i2i-v30": _image(images.ImageToImageV3),
        "jimeng-image-v40": _image(images.ImageV40),
        "jimeng-image-v46": _image(images.ImageV46),
        "jimeng-dream-inpaint": _image(images.DreamInpaint),
        "jimeng-inpaint-edit": _image(images.InpaintEdit, SYNCHRONOUS),
        "jimeng-vgfm-t2v": _video(videos.VgfmTextToVideo),
        "jimeng-vgfm-i2v": _video(videos.VgfmImageToVideo),
        "jimeng-t2v-v30": _video(videos.TextToVideoV30),
        "jimeng-i2v-first-v30": _video(videos.FirstFrameV30),
        "jimeng-i2v-first-tail-v30": _video(videos.FirstAndLastFrameV30),
        "jimeng-i2v-recamera-v30": _video(videos.RecameraV30),
        "jimeng-ti2v-v30-pro": _video(videos.TextOrImageToVideoPro),
        "jimeng-digital-human": _video(videos.DigitalHuman, DEFERRED_HUMAN),
    }
)
