"""Which vendors are asked for real and which are played by the simulator."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from core.settings import Settings


class Vendor(Struct, frozen=True, kw_only=True):
    """
    A vendor API.

    Attributes:
        title: For people.
        credentials: Its settings that hold keys, and what the simulator accepts there.
        base_url: Its setting for the address.
        path: What follows the simulator's URL.
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
    """The vendors for which no key is set: those that the simulator plays."""
    return tuple(vendor for vendor in VENDORS if not any(map(settings.env.get, vendor.credentials)))


def simulated(vendors: Iterable[Vendor], url: str) -> dict[str, str]:
    """The environment that sends those vendors' calls to the simulator at that URL."""
    environment: dict[str, str] = {}
    for vendor in vendors:
        environment |= {**vendor.credentials, vendor.base_url: f"{url}{vendor.path}"}
    return environment
