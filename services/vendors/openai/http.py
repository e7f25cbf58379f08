"""HTTP client of OpenAI and the meaning of its error codes. Source: the package `openai` 3.54.0, read on 2026-11-22."""

from collections.abc import Mapping
from typing import Final

import httpx

from polyrelay import BearerAuth, HttpOptions, Secret, VendorHttp
from services.vendors.openai_wire.errors import ErrorMeaning, VendorError, fault_reader

_MEANING: Final[Mapping[str | None, ErrorMeaning]] = {
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "content_policy_violation": "content_blocked",
    "moderation_blocked": "content_blocked",
    "content_filter": "content_blocked",
}


def openai_http(
    base_url: str, api_key: Secret, *, read_s: float = 300.0, transport: httpx.AsyncBaseTransport | None = None
) -> VendorHttp:
    """
    The HTTP client that all of OpenAI's services share.

    Args:
        base_url: Ends with `/v1`.
        api_key: An API key.
        read_s: Longest pause between two pieces of an answer, in seconds.
        transport: Another httpx transport, for tests.
    """
    options = HttpOptions(
        auth=BearerAuth(api_key.reveal()),
        fault=fault_reader("openai", meaning, hide=api_key),
        hide=(api_key,),
        read_s=read_s,
        transport=transport,
    )
    return VendorHttp("openai", base_url, options)


def meaning(error: VendorError) -> ErrorMeaning | None:
    """The meaning of an error's code or type, or None where the HTTP status decides."""
    return _MEANING.get(error.code) or _MEANING.get(error.kind)
