"""The public package for plugin authors: provider contract, errors, plugin hook and HTTP client."""

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
    Answer,
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
from polyrelay.http import BearerAuth, VendorHttp
from polyrelay.http_options import HttpOptions
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
    "HttpOptions",
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
