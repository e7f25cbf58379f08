"""The params of the Volcengine video keys, and the plans of their files. Sources as in `visual_params`."""

from typing import Annotated, Literal

from msgspec import Meta, field

from simulator.errors import VisualError
from simulator.plans import Plan
from simulator.visual_params import Pictures, Prompt, VisualParams

Frames = Literal[121, 241]
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
    """`jimeng_t2v_v30`, `jimeng_i2v_first_v30`, `jimeng_i2v_first_tail_v30` and their 1080p variants."""

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
    """`jimeng_i2v_recamera_v30`: a camera movement over one picture."""

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
    """`jimeng_ti2v_v30_pro`: a prompt, a picture, or both. The ratio is used only without a picture."""

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
    """The digital human: a video of a speaking person, from one picture."""

    image_url: Annotated[str, Meta(pattern="^https?://")]
    audio_url: Annotated[str, Meta(pattern="^https?://")] | None = None
    mask_url: list[str] = field(default_factory=list)
    prompt: Annotated[str, Meta(max_length=800)] = ""
    pe_fast_mode: bool = False

    @property
    def text(self) -> str:
        return self.prompt

    def plan(self) -> Plan:
        if self.audio_url is None and self.req_key == "jimeng_realman_avatar_picture_omni_v15":
            raise VisualError(50201, "Missing Parameter: audio_url")
        return self.drawn((1024, 1024), "mp4", duration_s=5)
