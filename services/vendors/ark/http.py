"""
HTTP client of Ark and the meaning of its error codes.

Source: Ark's page of error codes (docs/82379/1299023), a copy read on 2026-11-22.
"""

from collections.abc import Mapping
from typing import Final

import httpx

from polyrelay import BearerAuth, HttpOptions, Secret, VendorHttp
from services.vendors.openai_wire.errors import ErrorMeaning, VendorError, fault_reader

_MEANING: Final[Mapping[str, ErrorMeaning]] = {
    "ServerOverloaded": "overloaded",
    "InflightBatchsizeExceeded": "overloaded",
    "QuotaExceeded": "quota",
    "SetLimitExceeded": "quota",
    "AccountOverdueError": "quota",
    "OperationDenied.ServiceOverdue": "quota",
    "OperationDenied.FileQuotaExceeded": "quota",
    "OperationDenied.InvalidState": "invalid_input",
    "ContentSecurityDetectionError": "content_blocked",
}


def ark_http(
    base_url: str, api_key: Secret, *, read_s: float = 300.0, transport: httpx.AsyncBaseTransport | None = None
) -> VendorHttp:
    """
    The HTTP client that all of Ark's services share.

    Args:
        base_url: Ends with `/api/v3`.
        api_key: An Ark API key; Ark does not accept an access key and a secret key.
        read_s: Longest pause between two pieces of an answer, in seconds.
        transport: Another httpx transport, for tests.
    """
    options = HttpOptions(
        auth=BearerAuth(api_key.reveal()),
        fault=fault_reader("ark", meaning, hide=api_key),
        hide=(api_key,),
        read_s=read_s,
        transport=transport,
    )
    return VendorHttp("ark", base_url, options)


def meaning(error: VendorError) -> ErrorMeaning | None:
    """The meaning of an error's code, or None where the HTTP status decides."""
    code = error.code or ""
    if is_moderation(code):
        return "failed" if code.startswith("Output") else "content_blocked"
    return _MEANING.get(code) or _MEANING.get(code.partition(".")[0])


def is_moderation(code: str) -> bool:
    """Whether moderation refused the content, as in InputImageSensitiveContentDetected.PrivacyInformation."""
    return "SensitiveContentDetected" in code or "RiskDetection" in code
