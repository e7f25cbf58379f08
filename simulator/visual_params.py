"""
The params of each Volcengine `req_key`, and the files they ask for.

Source: the vendor's pages 1817045 (4.0), 1616429 (3.x), 1747301 (i2i), 1777001 (3.0 Pro), as of
2026-11-22; 2.1, S2.0 and 4.6 are known from third-party code only.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from simulator.drawing import seed_of
from simulator.errors import VisualError
from simulator.plans import Plan, count_asked, within_ratio
from simulator.references import InvalidPicture, check_base64, check_link

MEGABYTE = 1024 * 1024
Prompt = Annotated[str, Meta(min_length=1, max_length=800)]
Side = Annotated[int, Meta(ge=1, le=16384)]
Frames = Literal[121, 241]
PICTURE_ERRORS = {"size": 50205, "decode": 50207, "ratio": 50200, "link": 50200}
S2_SIZES = {
    "16:9": (1280, 720), "9:16": (720, 1280), "1:1": (960, 960), "4:3": (960, 720), "3:4": (720, 960),
    "21:9": (1680, 720), "9:21": (720, 1680),
}  # fmt: skip
PRO_SIZES = {
    "21:9": (2176, 928), "16:9": (1920, 1088), "4:3": (1664, 1248), "1:1": (1440, 1440), "3:4": (1248, 1664),
    "9:16": (1088, 1920),
}  # fmt: skip
HD_SIZES = {
    "21:9": (2176, 928), "16:9": (1248, 704), "4:3": (1120, 832), "1:1": (960, 960), "3:4": (832, 1120),
    "9:16": (704, 1248),
}  # fmt: skip
CAMERA_TEMPLATES = Literal[
    "hitchcock_dolly_in", "hitchcock_dolly_out", "robo_arm", "dynamic_orbit", "central_orbit", "crane_push",
    "quick_pull_back", "counterclockwise_swivel", "clockwise_swivel", "handheld", "rapid_push_pull",
]  # fmt: skip


class LogoInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A visible mark on the picture."""

    add_logo: bool = False
    position: Literal[0, 1, 2, 3] = 0
    language: Literal[0, 1] = 0
    opacity: Annotated[float, Meta(ge=0, le=1)] | None = None
    logo_text_content: str | None = None


class AigcMeta(msgspec.Struct, frozen=True, kw_only=True):
    """The hidden mark that the law asks for."""

    content_producer: Annotated[str, Meta(max_length=256)] | None = None
    producer_id: Annotated[str, Meta(max_length=256)] | None = None
    content_propagator: Annotated[str, Meta(max_length=256)] | None = None
    propagate_id: Annotated[str, Meta(max_length=256)] | None = None


class VisualParams(msgspec.Struct, frozen=True, kw_only=True):
    """What all keys share; fields that a key does not know are ignored."""

    req_key: str
    seed: Annotated[int, Meta(ge=-1, le=2**31 - 1)] = -1

    @property
    def text(self) -> str:
        """The prompt, or nothing."""
        return ""

    def plan(self) -> Plan:
        """
        The files to make.

        Raises:
            VisualError: Fields do not fit together.
        """
        raise NotImplementedError

    def drawn(self, size: tuple[int, int], form: str, *, count: int = 1, duration_s: int = 0) -> Plan:
        """A plan of this size, seeded by the prompt."""
        seed = seed_of(self.req_key, self.text, self.seed)
        return Plan(seed=seed, width=size[0], height=size[1], format=form, count=count, duration_s=duration_s)


class Pictures(VisualParams, frozen=True, kw_only=True):
    """Input pictures: links or base64, never both."""

    image_urls: list[str] = []
    binary_data_base64: list[str] = []

    def check_pictures(self, least: int, most: int, *, max_bytes: float = 4.7 * MEGABYTE, min_side: int = 1) -> None:
        """
        Check how many there are and each of them.

        Raises:
            VisualError: 50206 for none, 50205 or 50207 for an unusable one, else 50200.
        """
        given = len(self.image_urls) + len(self.binary_data_base64)
        if given < least:
            raise VisualError(50206)
        if given > most or (self.image_urls and self.binary_data_base64):
            raise VisualError(50200, f"Parameter Error: at most {most} pictures, as links or as base64")
        try:
            for link in self.image_urls:
                check_link(link)
            for text in self.binary_data_base64:
                check_base64(text, max_bytes=max_bytes, max_side=4096, max_ratio=3, min_side=min_side)
        except InvalidPicture as error:
            raise VisualError(PICTURE_ERRORS[error.problem]) from error


class General21(VisualParams, frozen=True, kw_only=True):
    """`jimeng_high_aes_general_v21_L`, answered at once; `use_sr` doubles each side."""

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
    """`jimeng_i2i_v30`; the output's sides are multiples of 16 between 512 and 1536."""

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
        return self.drawn((_held(width), _held(height)), "jpeg")


class Image4(VisualParams, frozen=True, kw_only=True):
    """`jimeng_t2i_v40`; how many pictures come is the model's choice unless `force_single`."""

    prompt: Prompt
    image_urls: Annotated[list[str], Meta(max_length=10)] = []
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
        count = 1 if self.force_single else min(count_asked(self.prompt) or 1, most)
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
    """`jimeng_seedream46_cvtob`: more inputs, and `scale` is a percentage."""

    image_urls: Annotated[list[str], Meta(max_length=14)] = []
    scale: Annotated[int, Meta(ge=1, le=100)] = 50


class DreamInpaint(Pictures, frozen=True, kw_only=True):
    """`jimeng_image2image_dream_inpaint`: the picture, then its mask."""

    prompt: Prompt

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        self.check_pictures(2, 2)
        return self.drawn((1328, 1328), "jpeg")


class EditInpaint(Pictures, frozen=True, kw_only=True):
    """`img2img_inpainting_edit_zi2i`, answered at once."""

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


class TextVideo2(VisualParams, frozen=True, kw_only=True):
    """`jimeng_vgfm_t2v_l20`."""

    prompt: Prompt
    aspect_ratio: Literal["16:9", "9:16", "1:1", "4:3", "3:4", "21:9"] = "16:9"

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        return self.drawn(S2_SIZES[self.aspect_ratio], "mp4", duration_s=5)


class ImageVideo2(Pictures, frozen=True, kw_only=True):
    """`jimeng_vgfm_i2v_l20`."""

    prompt: Annotated[str, Meta(max_length=800)] = ""
    aspect_ratio: Literal["16:9", "9:16", "1:1", "4:3", "3:4", "21:9", "9:21"] = "16:9"

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        self.check_pictures(1, 1)
        return self.drawn(S2_SIZES[self.aspect_ratio], "mp4", duration_s=5)


class Video3(Pictures, frozen=True, kw_only=True):
    """`jimeng_t2v_v30`, `jimeng_i2v_first_v30`, `jimeng_i2v_first_tail_v30` and their 1080p twins."""

    prompt: Prompt
    frames: Frames = 121
    aspect_ratio: Literal["16:9", "4:3", "1:1", "3:4", "9:16", "21:9"] = "16:9"

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        needed = 2 if "_tail_" in self.req_key else 1 if "_i2v_" in self.req_key else 0
        if needed:
            self.check_pictures(needed, needed, min_side=320)
        sizes = PRO_SIZES if "_1080" in self.req_key else HD_SIZES
        return self.drawn(sizes[self.aspect_ratio], "mp4", duration_s=self.frames // 24)


class Recamera3(Pictures, frozen=True, kw_only=True):
    """`jimeng_i2v_recamera_v30`: a camera move over one picture."""

    template_id: CAMERA_TEMPLATES
    camera_strength: Literal["weak", "medium", "strong"]
    prompt: Annotated[str, Meta(max_length=800)] = ""
    frames: Frames = 121

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        self.check_pictures(1, 1, min_side=320)
        return self.drawn(HD_SIZES["16:9"], "mp4", duration_s=self.frames // 24)


class VideoPro3(Pictures, frozen=True, kw_only=True):
    """`jimeng_ti2v_v30_pro`: a prompt, a picture, or both; the ratio counts without a picture only."""

    prompt: Annotated[str, Meta(max_length=800)] = ""
    frames: Frames = 121
    aspect_ratio: Literal["16:9", "4:3", "1:1", "3:4", "9:16", "21:9"] = "16:9"

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        pictures = len(self.image_urls) + len(self.binary_data_base64)
        if not pictures and not self.prompt:
            raise VisualError(50201, "Missing Parameter: prompt")
        self.check_pictures(0, 1, min_side=320)
        ratio = "16:9" if pictures else self.aspect_ratio
        return self.drawn(PRO_SIZES[ratio], "mp4", duration_s=self.frames // 24)


class Avatar(VisualParams, frozen=True, kw_only=True):
    """The digital human: a picture that speaks."""

    image_url: Annotated[str, Meta(pattern="^https?://")]
    audio_url: Annotated[str, Meta(pattern="^https?://")] | None = None
    mask_url: list[str] = []
    prompt: Annotated[str, Meta(max_length=800)] = ""
    pe_fast_mode: bool = False

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        if self.audio_url is None and self.req_key == "jimeng_realman_avatar_picture_omni_v15":
            raise VisualError(50201, "Missing Parameter: audio_url")
        return self.drawn((1024, 1024), "mp4", duration_s=5)


def _chosen(width: int | None, height: int | None, *, lowest: int, highest: int, default: int) -> tuple[int, int]:
    """Width and height where both are given, else the default square."""
    if width is None or height is None:
        return default, default
    if not (lowest <= min(width, height) and max(width, height) <= highest and within_ratio(width, height, 1 / 3, 3)):
        raise VisualError(50200, "Parameter Error: width, height")
    return width, height


def _held(side: int) -> int:
    return min(max(round(side / 16) * 16, 512), 1536)


PROCESS, SYNC2ASYNC, TASK = "process", "sync2async", "task"


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """A `req_key`: its params and the families of Actions that take it."""

    params: type[VisualParams]
    families: frozenset[str] = frozenset({SYNC2ASYNC})


CAPABILITIES: dict[str, Capability] = {
    # Third-party code calls 2.1 both ways, so both are taken.
    "jimeng_high_aes_general_v21_L": Capability(params=General21, families=frozenset({PROCESS, SYNC2ASYNC})),
    "img2img_inpainting_edit_zi2i": Capability(params=EditInpaint, families=frozenset({PROCESS})),
    "jimeng_realman_avatar_object_detection": Capability(params=Avatar, families=frozenset({PROCESS})),
    "jimeng_realman_avatar_picture_create_role_omni_v15": Capability(params=Avatar, families=frozenset({TASK})),
    "jimeng_realman_avatar_picture_omni_v15": Capability(params=Avatar, families=frozenset({TASK})),
    "jimeng_t2i_v30": Capability(params=Text3),
    "jimeng_t2i_v31": Capability(params=Text3),
    "jimeng_i2i_v30": Capability(params=Image3),
    "jimeng_t2i_v40": Capability(params=Image4),
    "jimeng_seedream46_cvtob": Capability(params=Image46),
    "jimeng_image2image_dream_inpaint": Capability(params=DreamInpaint),
    "jimeng_vgfm_t2v_l20": Capability(params=TextVideo2),
    "jimeng_vgfm_i2v_l20": Capability(params=ImageVideo2),
    "jimeng_t2v_v30": Capability(params=Video3),
    "jimeng_t2v_v30_1080p": Capability(params=Video3),
    "jimeng_i2v_first_v30": Capability(params=Video3),
    "jimeng_i2v_first_v30_1080": Capability(params=Video3),
    "jimeng_i2v_first_tail_v30": Capability(params=Video3),
    "jimeng_i2v_first_tail_v30_1080": Capability(params=Video3),
    "jimeng_i2v_recamera_v30": Capability(params=Recamera3),
    "jimeng_ti2v_v30_pro": Capability(params=VideoPro3),
}
