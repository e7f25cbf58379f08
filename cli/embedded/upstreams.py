"""Upstreams of a stack: which vendors are called for real, and which the simulator stands in for."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from core.settings import Settings


class Vendor(Struct, frozen=True, kw_only=True):
    """
    A vendor API.

    Attributes:
        title: Name for people.
        credentials: Settings that hold its keys, with the keys that the simulator accepts.
        base_url: Setting that holds its URL.
        path: Path of its API, below the simulator's URL.
    """

    title: str
    credentials: Mapping[str, str]
    base_url: str
    path: str


VENDORS: Final = (
    Vendor(
        title="Volcengine visual (Jimeng)",
        credentials={"VOLCENGINE_ACCESS_KEY": "AKLTsimulator", "VOLCENGINE_SECRET_KEY": "simulator-secret"},
        base_url="VOLCENGINE_VISUAL_URL",
        path="",
    ),
    Vendor(
        title="Volcengine Ark (Doubao)",
        credentials={"ARK_API_KEY": "ark-simulator"},
        base_url="ARK_BASE_URL",
        path="/api/v3",
    ),
    Vendor(title="OpenAI", credentials={"OPENAI_API_KEY": "sk-simulator"}, base_url="OPENAI_BASE_URL", path="/v1"),
)


def without_keys(settings: Settings) -> tuple[Vendor, ...]:
    """The vendors for which no key is set. The simulator answers in their place."""
    return tuple(vendor for vendor in VENDORS if not any(map(settings.env.get, vendor.credentials)))


def simulated(vendors: Iterable[Vendor], url: str) -> dict[str, str]:
    """Environment variables that direct calls to these vendors to the simulator at `url`."""
    environment: dict[str, str] = {}
    for vendor in vendors:
        environment |= {**vendor.credentials, vendor.base_url: f"{url}{vendor.path}"}
    return environment
