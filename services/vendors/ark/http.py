"""
The connection to Ark, and what its error codes mean.

Source: Ark's page of error codes (docs/82379/1299023), a copy read on 2026-11-22.
"""

from collections.abc import Mapping
from typing import Final

import httpx

from polyrelay import BearerAuth, HttpOptions, Secret, VendorHttp
from services.vendors.openai_wire.errors import VendorError, Verdict, fault_reader

_MEANING: Final[Mapping[str, Verdict]] = {
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
    A connection pool for all of Ark's services.

    Args:
        base_url: Up to and with `/api/v3`.
        api_key: An Ark API key; an access key pair does not work here.
        read_s: Longest silence while waiting for an answer, in seconds.
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


def meaning(error: VendorError) -> Verdict | None:
    """What an error's code means, or None where the HTTP status says it all."""
    code = error.code or ""
    if is_moderation(code):
        return "failed" if code.startswith("Output") else "content_blocked"
    return _MEANING.get(code) or _MEANING.get(code.partition(".")[0])


def is_moderation(code: str) -> bool:
    """Whether the code says that content was refused, such as InputImageSensitiveContentDetected.PrivacyInformation."""
    return "SensitiveContentDetected" in code or "RiskDetection" in code
