"""Parsers of settings: the accepted texts with their values, and the limits."""

import base64
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any, Literal

import pytest

from core import setting_parsers as parsers
from core.priorities import Priority
from polyrelay import Secret

MIB, GIB = 2**20, 2**30
KEY = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parsers.url("http", "https"), "https://api.test/v1/", "https://api.test/v1"),
        (parsers.secret_url("redis"), "redis://:word@cache/0", Secret("redis://:word@cache/0")),
        (parsers.encryption_keys, KEY, Secret(KEY)),
        (parsers.number(1, 10), "1", 1),
        (parsers.number(1, 10), "10", 10),
        (parsers.positive_number, "0.05", 0.05),
        (parsers.number_or_none(1, 10), "10", 10),
        (parsers.number_or_none(1, 10), "None", None),
        (parsers.duration(1, 60), "1s", 1.0),
        (parsers.duration(1, 60), "1m", 60.0),
        (parsers.word(Literal["copy", "link"]), "LINK", "link"),
        (parsers.yes_or_no, "Yes", True),
        (parsers.yes_or_no, "no", False),
        (parsers.priorities, "low", (Priority.LOW,)),
        (parsers.priorities, "low, Critical", (Priority.CRITICAL, Priority.LOW)),
        (parsers.priorities, "low,default,critical", tuple(Priority)),
        (parsers.hosts_and_networks, "10.1.0.0/16, Minio.internal:9000", ("10.1.0.0/16", "minio.internal:9000")),
        (parsers.networks, "10.0.0.0/8, 192.0.2.7", (ip_network("10.0.0.0/8"), ip_network("192.0.2.7/32"))),
        (parsers.body_size, "1KiB", 1024),
        (parsers.body_size, "1GiB", GIB),
        (parsers.memory_size, "32MiB", 32 * MIB),
        (parsers.memory_size, "512GiB", 512 * GIB),
        (parsers.amounts, "2", {"*": 2}),
        (parsers.amounts, "volcengine=1, openai = 1000000", {"volcengine": 1, "openai": 1_000_000}),
        (parsers.amounts, "3,openai=10", {"*": 3, "openai": 10}),
    ],
)
def test_a_text_within_the_limits_is_read(parse: Callable[[str], Any], text: str, value: Any) -> None:
    """Each parser returns the value of a valid text; limits are included, and case and blanks do not matter."""
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parsers.url("http", "https"), "ftp://api.test"),
        (parsers.url("http", "https"), "https:"),
        (parsers.url("http", "https"), "https://[::1"),
        (parsers.encryption_keys, "c2hvcnQ="),
        (parsers.number(1, 10), "0"),
        (parsers.number(1, 10), "11"),
        (parsers.number(1, 10), "1.0"),
        (parsers.positive_number, "0"),
        (parsers.positive_number, "inf"),
        (parsers.positive_number, "nan"),
        (parsers.positive_number, "fast"),
        (parsers.number_or_none(1, 10), "11"),
        (parsers.number_or_none(1, 10), "never"),
        (parsers.duration(1, 60), "999ms"),
        (parsers.duration(1, 60), "61s"),
        (parsers.word(Literal["copy", "link"]), "both"),
        (parsers.yes_or_no, "true"),
        (parsers.priorities, ""),
        (parsers.priorities, "low,urgent"),
        (parsers.hosts_and_networks, "10.1.0.0/16,two words"),
        (parsers.hosts_and_networks, "minio.internal:900000"),
        (parsers.networks, "10.0.0.0/8,proxy.internal"),
        (parsers.networks, "10.0.0.1/8"),
        (parsers.body_size, "1023"),
        (parsers.body_size, str(GIB + 1)),
        (parsers.memory_size, str(32 * MIB - 1)),
        (parsers.memory_size, str(512 * GIB + 1)),
        (parsers.amounts, "0"),
        (parsers.amounts, "1000001"),
        (parsers.amounts, "openai=ten"),
        (parsers.amounts, "openai=1,openai=2"),
        (parsers.amounts, "1,2"),
        (parsers.amounts, ""),
    ],
)
def test_a_text_beyond_the_limits_is_refused(parse: Callable[[str], Any], text: str) -> None:
    """Each parser raises a `ValueError` for a text that it does not accept."""
    with pytest.raises(ValueError, match=r".+"):
        parse(text)


def test_the_message_of_an_optional_number_names_none() -> None:
    """The message of `number_or_none` says that `none` is allowed as well."""
    with pytest.raises(ValueError, match="a whole number from 1 to 10, or none"):
        parsers.number_or_none(1, 10)("11")
