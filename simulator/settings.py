"""Settings of a simulator: accepted credentials, latencies and threads."""

from fnmatch import fnmatchcase
from typing import Literal

import msgspec

Media = Literal["image", "video", "text"]


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """
    The accepted keys. Any other key is refused as the vendor refuses it.

    Attributes:
        session_token: If set, signed requests must have it in `X-Security-Token` (temporary credentials).
    """

    access_key: str = "AKLTsimulator"
    secret_key: str = "simulator-secret"  # noqa: S105 - opens nothing but the simulator
    session_token: str | None = None
    ark_key: str = "ark-simulator"
    openai_key: str = "sk-simulator"


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    """
    Seconds from an accepted request to its result.

    Attributes:
        call_s: Time to answer each accepted call, in addition to the generation.
        overrides: Generation time by call kind or pattern; the first match applies,
            as in `{"visual.process": 2.0, "ark.*": 0.5}`.
    """

    image_s: float = 0.3
    video_s: float = 1.5
    text_s: float = 0.1
    call_s: float = 0.0
    overrides: dict[str, float] = {}

    def of(self, kind: str, media: Media) -> float:
        """The generation time of one call, in seconds."""
        for pattern, seconds in self.overrides.items():
            if fnmatchcase(kind, pattern):
                return seconds
        return {"image": self.image_s, "video": self.video_s, "text": self.text_s}[media]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """
    The settings of one simulator.

    Attributes:
        clock_skew_s: Largest difference between a signed request's `X-Date` and now, in seconds.
        drawing_threads: Threads that draw pictures and encode videos.
    """

    credentials: Credentials = Credentials()
    latencies: Latencies = Latencies()
    clock_skew_s: float = 900.0
    drawing_threads: int = 2
