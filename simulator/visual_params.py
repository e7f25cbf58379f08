"""
Params that all Volcengine `req_key`s share.

Source: the vendor's pages 1817045 (4.0), 1616429 (3.x), 1747301 (i2i), 1777001 (3.0 Pro), as of
2026-11-22; 2.1, S2.0 and 4.6 are known from third-party code only.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from simulator.drawing import seed_of
from simulator.errors import VisualError
from simulator.plans import Plan
from simulator.references import InvalidPicture, check_base64, check_link

MEGABYTE = 1024 * 1024
Prompt = Annotated[str, Meta(min_length=1, max_length=800)]
PICTURE_ERRORS = {"size": 50205, "decode": 50207, "ratio": 50200, "link": 50200}


class LogoInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The visible watermark on the picture."""

    add_logo: bool = False
    position: Literal[0, 1, 2, 3] = 0
    language: Literal[0, 1] = 0
    opacity: Annotated[float, Meta(ge=0, le=1)] | None = None
    logo_text_content: str | None = None


class AigcMeta(msgspec.Struct, frozen=True, kw_only=True):
    """The hidden watermark that the law requires."""

    content_producer: Annotated[str, Meta(max_length=256)] | None = None
    producer_id: Annotated[str, Meta(max_length=256)] | None = None
    content_propagator: Annotated[str, Meta(max_length=256)] | None = None
    propagate_id: Annotated[str, Meta(max_length=256)] | None = None


class VisualParams(msgspec.Struct, frozen=True, kw_only=True):
    """Params of all keys. Fields that a key does not have are ignored."""

    req_key: str
    seed: Annotated[int, Meta(ge=-1, le=2**31 - 1)] = -1

    @property
    def text(self) -> str:
        """The prompt, or an empty text."""
        return ""

    def plan(self) -> Plan:
        """
        The plan of the files.

        Raises:
            VisualError: The combination of fields is not valid.
        """
        raise NotImplementedError

    def drawn(self, size: tuple[int, int], form: str, *, count: int = 1, duration_s: int = 0) -> Plan:
        """A plan of this size, seeded by the prompt."""
        seed = seed_of(self.req_key, self.text, self.seed)
        return Plan(seed=seed, width=size[0], height=size[1], format=form, count=count, duration_s=duration_s)


class Pictures(VisualParams, frozen=True, kw_only=True):
    """Input pictures: links or base64, not both."""

    image_urls: list[str] = []
    binary_data_base64: list[str] = []

    def check_pictures(self, least: int, most: int, *, max_bytes: float = 4.7 * MEGABYTE, min_side: int = 1) -> None:
        """
        Check the number of pictures and each picture.

        Raises:
            VisualError: 50206 for too few, 50205 or 50207 for an invalid picture, else 50200.
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
