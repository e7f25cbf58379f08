"""What an outsider imports: the provider contract, its errors, the plugin hook and an HTTP helper."""

from polyrelay.api_version import API_VERSION
from polyrelay.contract import (
    Cancels,
    Delta,
    Done,
    ImageOutput,
    Job,
    Model,
    Outcome,
    Output,
    Params,
    Pending,
    Service,
    Streams,
    TaskType,
    TextOutput,
    Usage,
    VideoOutput,
)
from polyrelay.env import Env
from polyrelay.errors import (
    GenerationFailed,
    NotAccepted,
    OutcomeUnknown,
    Overloaded,
    ProtocolError,
    ProviderError,
    RateLimited,
    Rejected,
    RejectReason,
    Unavailable,
)
from polyrelay.hooks import hookimpl
from polyrelay.http import Answer, BearerAuth, VendorHttp
from polyrelay.provider import Disabled, Provider
from polyrelay.secrets import Secret

__all__ = [
    "API_VERSION",
    "Answer",
    "BearerAuth",
    "Cancels",
    "Delta",
    "Disabled",
    "Done",
    "Env",
    "GenerationFailed",
    "ImageOutput",
    "Job",
    "Model",
    "NotAccepted",
    "Outcome",
    "OutcomeUnknown",
    "Output",
    "Overloaded",
    "Params",
    "Pending",
    "ProtocolError",
    "Provider",
    "ProviderError",
    "RateLimited",
    "RejectReason",
    "Rejected",
    "Secret",
    "Service",
    "Streams",
    "TaskType",
    "TextOutput",
    "Unavailable",
    "Usage",
    "VendorHttp",
    "VideoOutput",
    "hookimpl",
]
