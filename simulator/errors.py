"""Errors of the vendors, as exceptions with the vendor's envelope, which the app renders."""

import uuid
from typing import Any, ClassVar

# Business codes of visual.volcengineapi.com: HTTP status and message (the vendor's pages 1817045, 1777001 and 69728).
VISUAL_CODES: dict[int, tuple[int, str]] = {
    50200: (400, "Parameter Error"),
    50201: (400, "Missing Parameter"),
    50204: (400, "Parameter Type Error"),
    50205: (400, "Image Size Too Large"),
    50206: (400, "No Image"),
    50207: (400, "Image Decode Error"),
    50213: (400, "Request Body Too Large"),
    50215: (400, "Input Invalid For This Service"),
    50400: (400, "Access Denied"),
    50402: (400, "No Such Interface"),
    50411: (400, "Pre Img Risk Not Pass"),
    50412: (400, "Text Risk Not Pass"),
    50413: (400, "Post Text Risk Not Pass"),
    50429: (429, "Request Has Reached API Limit, Please Try Later"),
    50430: (429, "Request Has Reached API Concurrent Limit, Please Try Later"),
    50500: (500, "Internal Error"),
    50501: (500, "Internal RPC Error"),
    50511: (400, "Post Img Risk Not Pass"),
    50512: (400, "Post Text Risk Not Pass"),
    50516: (400, "Post Video Risk Not Pass"),
    50517: (400, "Post Audio Risk Not Pass"),
    50518: (400, "Pre Img Risk Not Pass: Copyright"),
    50519: (400, "Post Img Risk Not Pass: Copyright"),
    50520: (400, "Risk Internal Error"),
    50521: (400, "Antidirt Internal Error"),
    50522: (400, "Image Copyright Internal Error"),
    60102: (400, "Face Not Found"),
}

# Errors of the signing gateway: HTTP status and CodeN (the vendor's pages 6369/68677 and 6720/108305).
GATEWAY_CODES: dict[str, tuple[int, int | None]] = {
    "MissingParameter": (400, 100002),
    "MissingAuthenticationToken": (401, 100003),
    "MissingRequestInfo": (400, 100004),
    "MissingSignature": (401, 100005),
    "InvalidTimestamp": (400, 100006),
    "ServiceNotFound": (404, 100007),
    "InvalidActionOrVersion": (404, 100008),
    "InvalidAccessKey": (401, 100009),
    "SignatureDoesNotMatch": (401, 100010),
    "LackPolicy": (403, 100012),
    "AccessDenied": (403, 100013),
    "InternalError": (500, 100014),
    "FailToConnect": (502, 100015),
    "InternalServiceTimeout": (504, 100016),
    "InvalidAuthorization": (400, None),
    "InvalidCredential": (400, None),
    "InvalidSecretToken": (401, None),
}

ARK_TYPES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    429: "TooManyRequests",
}


class VendorError(Exception):
    """An error response of one vendor."""

    vendor: ClassVar[str]

    def __init__(self, status: int, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s

    def envelope(self) -> dict[str, Any]:
        """The JSON body of the response."""
        raise NotImplementedError


class VisualError(VendorError):
    """A business error of visual.volcengineapi.com. `code` determines the HTTP status, unless one is given."""

    vendor = "visual"

    def __init__(
        self, code: int, message: str = "", *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        usual_status, usual_message = VISUAL_CODES.get(code, (400, "Error"))
        super().__init__(status or usual_status, message or usual_message, retry_after_s=retry_after_s)
        self.code = code

    def envelope(self) -> dict[str, Any]:
        """The business envelope, with `data` null."""
        return visual_envelope(None, code=self.code, message=self.message)


class GatewayError(VendorError):
    """A refusal by the Volcengine gateway, before the business service sees the request."""

    vendor = "visual"

    def __init__(
        self, code: str, message: str = "", *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        usual_status, self.number = GATEWAY_CODES.get(code, (400, None))
        super().__init__(status or usual_status, message or code, retry_after_s=retry_after_s)
        self.code = code
        self.action = ""
        self.version = ""

    def envelope(self) -> dict[str, Any]:
        """The envelope `ResponseMetadata.Error`, with `CodeN` only for codes that the vendor numbers."""
        error: dict[str, Any] = {} if self.number is None else {"CodeN": self.number}
        error |= {"Code": self.code, "Message": self.message}
        return {
            "ResponseMetadata": {
                "RequestId": uuid.uuid4().hex,
                "Action": self.action,
                "Version": self.version,
                "Service": "cv",
                "Region": "cn-north-1",
                "Error": error,
            }
        }


class ArkError(VendorError):
    """An error of Ark."""

    vendor = "ark"

    def __init__(
        self, status: int, code: str, message: str, *, param: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(status, message, retry_after_s=retry_after_s)
        self.code = code
        self.param = param

    def envelope(self) -> dict[str, Any]:
        """Ark's envelope; its message ends with the request id."""
        kind = ARK_TYPES.get(self.status, "InternalServerError")
        message = f"{self.message} Request id: {uuid.uuid4().hex}"
        return {"error": {"code": self.code, "message": message, "param": self.param, "type": kind}}


class OpenAIError(VendorError):
    """An error of OpenAI."""

    vendor = "openai"

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(status, message, retry_after_s=retry_after_s)
        self.code = code
        self.param = param

    def envelope(self) -> dict[str, Any]:
        """OpenAI's envelope; the status determines `type`."""
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = "server_error" if self.status >= 500 else kinds.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def visual_envelope(data: Any, *, code: int = 10000, message: str = "Success") -> dict[str, Any]:
    """The business envelope. `time_elapsed` is a string, and `status` repeats `code`."""
    return {
        "code": code,
        "data": data,
        "message": message,
        "request_id": uuid.uuid4().hex,
        "status": code,
        "time_elapsed": "36.799829ms",
    }
