"""
Params of the Jimeng video models.

Source: the vendor's pages of video 3.0, 3.0 Pro (docs/85621/1777001) and OmniHuman 1.5, in copies read on 2026-11-22;
the limits of the S2.0 models (`jimeng_vgfm_*`) are those of third-party clients.
"""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from services.vendors.jimeng.fields import AnyPrompt, Body, JimengParams, Prompt, Seed, VideoAigcMeta, given
from services.vendors.jimeng.input_images import Base64Images, ImageUrl, ImageUrls, check_images, image_fields

AspectRatio: TypeAlias = Literal["16:9", "4:3", "1:1", "3:4", "9:16", "21:9"]
Duration = Annotated[Literal[5, 10], Meta(description="Seconds: 5 (as where nothing is sent) or 10.")]
Frames = Annotated[Literal[121, 241], Meta(description="The length as frames, in place of duration: 121 or 241.")]
CameraTemplate: TypeAlias = Literal[
    "hitchcock_dolly_in",
    "hitchcock_dolly_out",
    "robo_arm",
    "dynamic_orbit",
    "central_orbit",
    "crane_push",
    "quick_pull_back",
    "counterclockwise_swivel",
    "clockwise_swivel",
    "handheld",
    "rapid_push_pull",
]

_FRAMES_PER_S: Final = 24


class VgfmTextToVideo(JimengParams, frozen=True, kw_only=True):
    """Text to video S2.0 Pro."""

    prompt: AnyPrompt
    seed: Seed | None = None
    aspect_ratio: AspectRatio | None = None

    def body(self) -> Body:
        return given(prompt=self.prompt, seed=self.seed, aspect_ratio=self.aspect_ratio)


class VgfmImageToVideo(JimengParams, frozen=True, kw_only=True):
    """Image to video S2.0 Pro."""

    prompt: AnyPrompt
    image_urls: ImageUrls = ()
    binary_data_base64: Base64Images = ()
    seed: Seed | None = None
    aspect_ratio: AspectRatio | Literal["9:21"] | None = None

    def __post_init__(self) -> None:
        check_images(self.image_urls, self.binary_data_base64, least=1, most=1, megabytes=4.7)

    def body(self) -> Body:
        return {
            **given(prompt=self.prompt, seed=self.seed, aspect_ratio=self.aspect_ratio),
            **image_fields(self.image_urls, self.binary_data_base64),
        }


class _V3(JimengParams, frozen=True, kw_only=True):
    """What the 3.0 videos share. The length decides the bill, so it is always sent."""

    seed: Seed | None = None
    duration: Duration | None = None
    frames: Frames | None = None
    aigc_meta: VideoAigcMeta | None = None

    def check_length(self) -> None:
        """
        Check that the length is given in one way.

        Raises:
            ValueError: It came in two.
        """
        if self.duration is not None and self.frames is not None:
            raise ValueError(f"duration {self.duration} and frames {self.frames} came; send one of the two")

    def length_fields(self) -> Body:
        """The number of frames: 24 a second and one."""
        return {"frames": self.frames or (self.duration or 5) * _FRAMES_PER_S + 1}

    def delivery(self) -> Body:
        return given(aigc_meta=self.aigc_meta)


class TextToVideoV30(_V3, frozen=True, kw_only=True):
    """Text to video 3.0, 720p and 1080p."""

    prompt: Prompt
    aspect_ratio: AspectRatio | None = None

    def __post_init__(self) -> None:
        self.check_length()

    def body(self) -> Body:
        fields = given(prompt=self.prompt, seed=self.seed, aspect_ratio=self.aspect_ratio)
        return {**fields, **self.length_fields()}


class FirstFrameV30(_V3, frozen=True, kw_only=True):
    """Image to video 3.0: the picture is the first frame."""

    prompt: Prompt
    image_urls: ImageUrls = ()
    binary_data_base64: Base64Images = ()

    def __post_init__(self) -> None:
        self.check_length()
        check_images(self.image_urls, self.binary_data_base64, least=1, most=1, megabytes=4.7)

    def body(self) -> Body:
        return {
            **given(prompt=self.prompt, seed=self.seed),
            **image_fields(self.image_urls, self.binary_data_base64),
            **self.length_fields(),
        }


class FirstAndLastFrameV30(FirstFrameV30, frozen=True, kw_only=True):
    """Image to video 3.0: two pictures of the same ratio are the first and the last frame."""

    def __post_init__(self) -> None:
        self.check_length()
        check_images(self.image_urls, self.binary_data_base64, least=2, most=2, megabytes=4.7)


class RecameraV30(_V3, frozen=True, kw_only=True):
    """Image to video 3.0 with a camera movement by name."""

    prompt: Prompt | None = None
    image_urls: ImageUrls = ()
    binary_data_base64: Base64Images = ()
    template_id: CameraTemplate
    camera_strength: Literal["weak", "medium", "strong"]

    def __post_init__(self) -> None:
        self.check_length()
        check_images(self.image_urls, self.binary_data_base64, least=1, most=1, megabytes=4.7)

    def body(self) -> Body:
        return {
            **given(prompt=self.prompt, seed=self.seed),
            **image_fields(self.image_urls, self.binary_data_base64),
            **self.length_fields(),
            "template_id": self.template_id,
            "camera_strength": self.camera_strength,
        }


class TextOrImageToVideoPro(_V3, frozen=True, kw_only=True):
    """Video 3.0 Pro: from a prompt, a picture, or both; with a picture the model picks the nearest ratio."""

    prompt: Prompt | None = None
    image_urls: ImageUrls = ()
    binary_data_base64: Base64Images = ()
    aspect_ratio: AspectRatio | None = None

    def __post_init__(self) -> None:
        self.check_length()
        check_images(self.image_urls, self.binary_data_base64, least=0, most=1, megabytes=4.7)
        has_image = bool(self.image_urls or self.binary_data_base64)
        if self.prompt is None and not has_image:
            raise ValueError("neither a prompt nor an input image came; send one or both")
        if self.aspect_ratio is not None and has_image:
            raise ValueError(
                f"aspect_ratio {self.aspect_ratio} came with an input image; the image decides the ratio, leave it out"
            )

    def body(self) -> Body:
        return {
            **given(prompt=self.prompt, seed=self.seed, aspect_ratio=self.aspect_ratio),
            **image_fields(self.image_urls, self.binary_data_base64),
            **self.length_fields(),
        }


class DigitalHuman(JimengParams, frozen=True, kw_only=True):
    """OmniHuman 1.5: the person of a picture speaks what a sound file says."""

    image_urls: Annotated[ImageUrls, Meta(min_length=1, max_length=1)]
    audio_url: Annotated[ImageUrl, Meta(description="Link to the speech, shorter than 35 seconds.")]
    mask_urls: Annotated[tuple[ImageUrl, ...], Meta(description="Links to masks that say who speaks.")] = ()
    prompt: Prompt | None = None
    seed: Seed | None = None
    pe_fast_mode: Annotated[bool, Meta(description="Faster, at some cost of quality.")] | None = None

    def body(self) -> Body:
        return {
            "image_url": self.image_urls[0],
            "audio_url": self.audio_url,
            **given(
                mask_url=list(self.mask_urls) or None,
                prompt=self.prompt,
                seed=self.seed,
                pe_fast_mode=self.pe_fast_mode,
            ),
        }
