"""OpenAI chat models. Source: the package `openai` 3.54.0, read on 2026-11-22."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from core.catalogue import Entry
from polyrelay import Model, TaskType, VendorHttp
from services.vendors.model_families import Families, ModelFamily, given, models_of
from services.vendors.openai_wire.completions import TIMEOUT_S, Chat, ChatParams, chat_request


class ReasoningParams(ChatParams, frozen=True, kw_only=True):
    """Input of a model that thinks before it writes; which of the sampling fields it takes, it says itself."""

    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class OpenAIChat(Chat):
    """Texts by GPT models."""

    def __init__(self, entries: Sequence[Entry], http: VendorHttp) -> None:
        super().__init__(entries, http, families=CHAT_FAMILIES)


def openai_chat_models(entries: Iterable[Entry]) -> tuple[Model, ...]:
    """What `OpenAIChat` serves of these entries."""
    return models_of(entries, CHAT_FAMILIES)


def _request(model: str, params: ChatParams) -> dict[str, object]:
    return {**chat_request(model, params), **given(params, "max_tokens")}


def _reasoning_request(model: str, params: ReasoningParams) -> dict[str, object]:
    """Reasoning models refuse `max_tokens` and have `max_completion_tokens`."""
    limit = {} if params.max_tokens is None else {"max_completion_tokens": params.max_tokens}
    return {**chat_request(model, params), **limit, **given(params, "reasoning_effort", "verbosity")}


CHAT_FAMILIES: Final[Families] = {
    "chat": ModelFamily(type=TaskType.TEXT, params=ChatParams, timeout_s=TIMEOUT_S, request=_request),
    "chat-reasoning": ModelFamily(
        type=TaskType.TEXT, params=ReasoningParams, timeout_s=TIMEOUT_S, request=_reasoning_request
    ),
}
