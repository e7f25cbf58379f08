"""Ark chat models. Source: `volcengine-ark-runtime` 5.0.54, read on 2026-11-22."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from core.catalogue import Entry
from polyrelay import Model, TaskType, VendorHttp
from services.vendors.model_families import Families, ModelFamily, given, models_of
from services.vendors.openai_wire.completions import TIMEOUT_S, Chat, ChatParams, chat_request


class ArkChatParams(ChatParams, frozen=True, kw_only=True):
    """
    Input of a Doubao chat model.

    Attributes:
        thinking: Whether a model that can think does so; `auto` leaves it to the model.
        reasoning_effort: How much it thinks, where the model supports it.
    """

    thinking: Literal["enabled", "disabled", "auto"] | None = None
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None


class ArkChat(Chat):
    """Texts by Doubao models."""

    def __init__(self, entries: Sequence[Entry], http: VendorHttp) -> None:
        super().__init__(entries, http, families=CHAT_FAMILIES)


def ark_chat_models(entries: Iterable[Entry]) -> tuple[Model, ...]:
    """What `ArkChat` serves of these entries."""
    return models_of(entries, CHAT_FAMILIES)


def _request(model: str, params: ArkChatParams) -> dict[str, object]:
    thinking = {} if params.thinking is None else {"thinking": {"type": params.thinking}}
    return {**chat_request(model, params), **given(params, "max_tokens", "reasoning_effort"), **thinking}


CHAT_FAMILIES: Final[Families] = {
    "chat": ModelFamily(type=TaskType.TEXT, params=ArkChatParams, timeout_s=TIMEOUT_S, request=_request),
}
