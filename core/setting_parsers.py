"""Parsers of settings: each returns the value of a text, or raises a `ValueError` whose text says what is allowed."""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from core.addresses import Network, network_of
from core.priorities import Priority
from core.units import seconds, size_bytes
from polyrelay import Secret

_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")


def url(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        # The text of an error of `urlsplit` may quote the password.
        try:
            parts = urlsplit(text)
            usable = parts.scheme in schemes and bool(parts.netloc)
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(" or ".join(f"{scheme}://host…" for scheme in schemes))
        return text.rstrip("/")

    return parse


def secret_url(*schemes: str) -> Callable[[str], Secret]:
    parse = url(*schemes)
    return lambda text: Secret(parse(text))


def encryption_keys(text: str) -> Secret:
    from core.vault import vault_of  # imported only where the setting is used: loading a cipher is slow

    secret = Secret(text)
    vault_of(secret)
    return secret


def number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def positive_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError("a number above 0")
    return value


def number_or_none(low: int, high: int) -> Callable[[str], int | None]:
    parse_number = number(low, high)

    def parse(text: str) -> int | None:
        if text.lower() == "none":
            return None
        try:
            return parse_number(text)
        except ValueError as error:
            raise ValueError(f"{error}, or none") from None

    return parse


def duration(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = seconds(text)
        if not low <= value <= high:
            raise ValueError(f"a duration from {low:g}s to {high:g}s")
        return value

    return parse


def word(kind: Any) -> Callable[[str], str]:
    words: tuple[str, ...] = kind.__args__

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(" or ".join(words))
        return text.lower()

    return parse


def yes_or_no(text: str) -> bool:
    if text.lower() not in {"yes", "no"}:
        raise ValueError("yes or no")
    return text.lower() == "yes"


def priorities(text: str) -> tuple[Priority, ...]:
    words = {word.strip().lower() for word in text.split(",")}
    if not words <= set(Priority):
        raise ValueError(f"one or more of {', '.join(Priority)}, separated by commas")
    return tuple(priority for priority in Priority if priority in words)


def hosts_and_networks(text: str) -> tuple[str, ...]:
    """Networks, addresses and host names, these with a port or without, separated by commas."""
    words = tuple(word.strip().lower() for word in text.split(","))
    if not all(network_of(word) or _HOST.fullmatch(word) for word in words):
        raise ValueError("networks or hosts, separated by commas, such as 10.1.0.0/16,minio.internal:9000")
    return words


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks, separated by commas; an address is a network of one."""
    try:
        return tuple(ip_network(word.strip()) for word in text.split(","))
    except ValueError:
        raise ValueError("addresses or networks, separated by commas, such as 10.0.0.0/8,192.0.2.7") from None


def body_size(text: str) -> int:
    value = size_bytes(text)
    if not 1024 <= value <= 2**30:
        raise ValueError("a size from 1KiB to 1GiB")
    return value


def memory_size(text: str) -> int:
    value = size_bytes(text)
    if not 32 * 2**20 <= value <= 2**39:
        raise ValueError("a size from 32MiB to 512GiB")
    return value


def amounts(text: str) -> Mapping[str, int]:
    """One number for all ("2", under the name "*"), or a number for each name ("volcengine=2,openai=10")."""
    pairs = [word.strip().rpartition("=") for word in text.split(",")]
    named = {name.strip() or "*": number.strip() for name, _, number in pairs}
    if len(named) < len(pairs) or not all(n.isdecimal() and 1 <= int(n) <= 1_000_000 for n in named.values()):
        raise ValueError("a number from 1 for all, or for each name, such as volcengine=2,openai=10")
    return {name: int(number) for name, number in named.items()}
