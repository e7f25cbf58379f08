"""Files that come as base64 within JSON, which may be large: their text is not copied on the way to their bytes."""

import binascii
import re
from typing import Final

import msgspec

_ESCAPE: Final = re.compile(rb"\\")


def decode_base64(raw: msgspec.Raw, *, strict: bool = True) -> bytes | None:
    """
    The bytes of a JSON text that holds base64, or None where it is no text, or an empty one.

    Args:
        raw: As it stands in the answer; empty where the answer has no such field.
        strict: Whether anything but base64 is an error, or is passed over.

    Raises:
        ValueError: It is not base64.
    """
    quoted = memoryview(raw)
    if len(quoted) <= 2 or quoted[0] != ord('"'):
        return None
    text: memoryview | bytes = quoted[1:-1]
    if _ESCAPE.search(text):
        text = msgspec.json.decode(raw, type=str).encode()
    return binascii.a2b_base64(text, strict_mode=strict)
