"""Decoding of base64 files inside of JSON answers, without a copy of the text, because the files may be large."""

import binascii
import re
from typing import Final

import msgspec

_ESCAPE: Final = re.compile(rb"\\")


def decode_base64(raw: msgspec.Raw, *, strict: bool = True) -> bytes | None:
    """
    The bytes of a JSON string that holds base64, or None where the value is not a string or is empty.

    Args:
        raw: The undecoded JSON value; empty where the answer has no such field.
        strict: Whether other characters are an error; if not, they are ignored.

    Raises:
        ValueError: The string is not base64.
    """
    quoted = memoryview(raw)
    if len(quoted) <= 2 or quoted[0] != ord('"'):
        return None
    text: memoryview | bytes = quoted[1:-1]
    if _ESCAPE.search(text):
        text = msgspec.json.decode(raw, type=str).encode()
    return binascii.a2b_base64(text, strict_mode=strict)
