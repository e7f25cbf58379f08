"""The params of the Volcengine image keys, and the plans of their files. Sources as in `visual_params`."""

from typing import Annotated

from msgspec import Meta, field

from simulator.errors import VisualError
from simulator.plans import Plan, count_in_prompt, within_ratio
from simulator.visual_params import MEGABYTE, AigcMeta, LogoInfo, Pictures, Prompt, VisualParams

Side = Annotated[int, Meta(ge=1, le=16384)]


class General21(VisualParams, frozen=True, kw_only=True):
    """`jimeng_high_aes_general_v21_L`, with the result in the answer. `use_sr` doubles each side."""

    prompt: Prompt
    width: Annotated[int, Meta(ge=256, le=768)] = 512
    height: Annotated[int, Meta(ge=256, le=768)] = 512
    use_pre_llm: bool = True
    use_sr: bool = True
    return_url: bool = False
    logo_info: LogoInfo | None = None
    aigc_meta: AigcMeta | None = None

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        factor = 2 if self.use_sr else 1
        return self.drawn((self.width * factor, self.height * factor), "jpeg")


class Text3(VisualParams, frozen=True, kw_only=True):
    """`jimeng_t2i_v30` and `_v31`."""

    prompt: Prompt
    use_pre_llm: bool = True
    width: Side | None = None
    height: Side | None = None

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        return self.drawn(_chosen(self.width, self.height, lowest=512, highest=3024, default=1328), "png")


class Image3(Pictures, frozen=True, kw_only=True):
    """`jimeng_i2i_v30`. The sides of the output are multiples of 16 between 512 and 1536."""

    prompt: Prompt
    scale: Annotated[float, Meta(ge=0, le=1)] = 0.5
    width: Side | None = None
    height: Side | None = None

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        self.check_pictures(1, 1)
        width, height = _chosen(self.width, self.height, lowest=512, highest=2016, default=1328)
        return self.drawn((_rounded(width), _rounded(height)), "jpeg")


class Image4(VisualParams, frozen=True, kw_only=True):
    """`jimeng_t2i_v40`. The model chooses the number of pictures, unless `force_single` is set."""

    prompt: Prompt
    image_urls: Annotated[list[str], Meta(max_length=10)] = field(default_factory=list)
    size: Annotated[int, Meta(ge=1024**2, le=4096**2)] = 4194304
    width: Side | None = None
    height: Side | None = None
    scale: Annotated[float, Meta(ge=0, le=1)] = 0.5
    force_single: bool = False
    min_ratio: Annotated[float, Meta(ge=1 / 16, lt=16)] = 1 / 3
    max_ratio: Annotated[float, Meta(ge=1 / 16, lt=16)] = 3

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        for link in self.image_urls:
            if not link.startswith(("http://", "https://")):
                raise VisualError(50200, "Parameter Error: image_urls")
        most = 15 - len(self.image_urls)
        count = 1 if self.force_single else min(count_in_prompt(self.prompt) or 1, most)
        return self.drawn(self._size(), "jpeg", count=count)

    def _size(self) -> tuple[int, int]:
        if self.width is None or self.height is None:
            side = int(self.size**0.5)
            return side, side
        fits = 1024**2 <= self.width * self.height <= 4096**2
        if not fits or not within_ratio(self.width, self.height, self.min_ratio, self.max_ratio):
            raise VisualError(50200, "Parameter Error: width, height")
        return self.width, self.height


class Image46(Image4, frozen=True, kw_only=True):
    """`jimeng_seedream46_cvtob`, with more inputs and `scale` as a percentage."""

    image_urls: Annotated[list[str], Meta(max_length=14)] = field(default_factory=list)
    scale: Annotated[int, Meta(ge=1, le=100)] = 50


class DreamInpaint(Pictures, frozen=True, kw_only=True):
    """`jimeng_image2image_dream_inpaint`. Its inputs are the picture and its mask."""

    prompt: Prompt

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        self.check_pictures(2, 2)
        return self.drawn((1328, 1328), "jpeg")


class EditInpaint(Pictures, frozen=True, kw_only=True):
    """`img2img_inpainting_edit_zi2i`, with the result in the answer."""

    custom_prompt: Prompt
    steps: Annotated[int, Meta(ge=1, le=100)] = 25
    scale: Annotated[float, Meta(ge=1, le=20)] = 5
    return_url: bool = False
    logo_info: LogoInfo | None = None

    @property
    def text(self) -> str:
        return self.custom_prompt

    def plan(self) -> Plan:
        self.check_pictures(2, 2, max_bytes=5 * MEGABYTE, min_side=64)
        return self.drawn((1024, 1024), "jpeg")


def _chosen(width: int | None, height: int | None, *, lowest: int, highest: int, default: int) -> tuple[int, int]:
    """Width and height if both are given, else the default square."""
    if width is None or height is None:
        return default, default
    if not (lowest <= min(width, height) and max(width, height) <= highest and within_ratio(width, height, 1 / 3, 3)):
        raise VisualError(50200, "Parameter Error: width, height")
    return width, height


def _rounded(side: int) -> int:
    return min(max(round(side / 16) * 16, 512), 1536)
