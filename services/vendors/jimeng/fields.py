"""Fields that several Jimeng models share, and the base of their params."""

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

from polyrelay import Params

Body: TypeAlias = dict[str, Any]

AnyPrompt = Annotated[str, Meta(min_length=1, pattern=r"\S", description="What to make.")]
Prompt = Annotated[
    str, Meta(min_length=1, max_length=800, pattern=r"\S", description="What to make; 800 characters at most.")
]
Seed = Annotated[
    int,
    Meta(ge=-1, le=2**31 - 1, description="The same seed and params give a similar result; -1 is a random seed."),
]
Scale = Annotated[float, Meta(ge=0, le=1, description="Weight of the prompt against the input images, 0 to 1.")]
UsePreLlm = Annotated[bool, Meta(description="Let the vendor extend the prompt; helps short prompts.")]
ReturnUrl = Annotated[bool, Meta(description="True: a link that works for 24 hours; false: the file itself.")]
MetaId = Annotated[str, Meta(min_length=1, max_length=256)]


class LogoInfo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    A visible watermark. What is not set is the vendor's default.

    Attributes:
        add_logo: Whether to draw it.
        position: 0 right bottom, 1 left bottom, 2 left top, 3 right top.
        language: 0 Chinese, 1 English.
        opacity: 0 to 1.
        logo_text_content: Its text.
    """

    add_logo: bool | None = None
    position: Annotated[int, Meta(ge=0, le=3)] | None = None
    language: Annotated[int, Meta(ge=0, le=1)] | None = None
    opacity: Annotated[float, Meta(ge=0, le=1)] | None = None
    logo_text_content: str | None = None


class AigcMeta(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The implicit mark in the file's metadata that says who made and who spread it."""

    content_producer: MetaId | None = None
    producer_id: MetaId | None = None
    content_propagator: MetaId | None = None
    propagate_id: MetaId | None = None


class AigcMetaWithId(AigcMeta, frozen=True, kw_only=True):
    """The mark as the pages of image 4.0 and dream inpainting require it."""

    producer_id: MetaId


class VideoAigcMeta(AigcMeta, frozen=True, kw_only=True):
    """The mark as the pages of the 3.0 videos require it."""

    producer_id: MetaId
    content_propagator: MetaId


class JimengParams(Params, frozen=True, kw_only=True):
    """Base of the params of all Jimeng models: they build the parts of the request themselves."""

    def body(self) -> Body:
        """The fields that describe the generation, without the `req_key`."""
        raise NotImplementedError

    def delivery(self) -> Body:
        """The fields that say how to deliver the result: part of a synchronous submit, else of the query."""
        return {}


class PictureParams(JimengParams, frozen=True, kw_only=True):
    """Base of the params of all models that generate images."""

    return_url: ReturnUrl = True
    logo_info: LogoInfo | None = None
    aigc_meta: AigcMeta | None = None

    def delivery(self) -> Body:
        """`return_url` is always sent, because the vendor's default is base64."""
        return {"return_url": self.return_url, **given(logo_info=self.logo_info, aigc_meta=self.aigc_meta)}


def given(**fields: Any) -> Body:
    """The fields that are set; for the others the vendor's default applies."""
    return {name: value for name, value in fields.items() if value is not None}
