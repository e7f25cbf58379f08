"""
Settings of the built-in vendors: credentials, base URLs, time-outs, model catalogue.

The only source of their names, defaults and rules. `core.settings.Settings` has these fields; the built-in providers
read them from the `Env` that every plugin is given.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from core.setting_fields import names_of, read_fields, wrong_settings
from core.setting_parsers import duration, positive_number, url
from polyrelay import Env, Secret


class VendorSettings(Struct, frozen=True, kw_only=True):
    """
    What an operator sets for the built-in vendors.

    Attributes:
        ai_timeout_s: Longest wait for one answer of a vendor, such as 30s or 5m.
        poll_scale: Multiplies the time between two polls of a slow generation; less than 1 is for development.
        model_catalogue: File with further model names.
        ark_api_key: API key of Volcengine Ark (Doubao).
        ark_base_url: Base URL of Volcengine Ark.
        volcengine_access_key: Access key of Volcengine visual (Jimeng).
        volcengine_secret_key: Secret key of Volcengine visual (Jimeng).
        volcengine_visual_url: Base URL of Volcengine visual (Jimeng).
        openai_api_key: API key of OpenAI.
        openai_base_url: Base URL of OpenAI.
    """

    ai_timeout_s: float = 300.0
    poll_scale: float = 1.0
    model_catalogue: Path | None = None
    ark_api_key: Secret | None = None
    ark_base_url: str = "https://ark.cn-beijing.volces.com/api/v3"
    volcengine_access_key: Secret | None = None
    volcengine_secret_key: Secret | None = None
    volcengine_visual_url: str = "https://visual.volcengineapi.com"
    openai_api_key: Secret | None = None
    openai_base_url: str = "https://api.openai.com/v1"

    @property
    def base_urls(self) -> tuple[str, ...]:
        """The base URLs of all vendors, set or default."""
        return tuple(getattr(self, field) for field in BASE_URLS)


BASE_URLS: Final = ("ark_base_url", "volcengine_visual_url", "openai_base_url")
"""The fields that hold a vendor's base URL."""

VENDOR_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "ai_timeout_s": duration(1, 3600),
    "poll_scale": positive_number,
    "model_catalogue": Path,
    "ark_api_key": Secret,
    "volcengine_access_key": Secret,
    "volcengine_secret_key": Secret,
    "openai_api_key": Secret,
    **dict.fromkeys(BASE_URLS, url("http", "https")),
}
"""The rule of each field."""

_NAMES: Final = names_of(VendorSettings)


def read_vendor_settings(env: Env) -> VendorSettings:
    """
    The vendor settings of that environment.

    Raises:
        ConfigurationError: Names every setting that is wrong, its value, and what is allowed.
    """
    values = {name: value for name in _NAMES if (value := env.get(name)) is not None}
    fields, problems = read_fields(VendorSettings, values, VENDOR_PARSERS)
    if problems:
        raise wrong_settings(problems)
    return VendorSettings(**fields)
