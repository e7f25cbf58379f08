"""Redaction: hides secrets by name and by pattern, and cuts signatures, encoded files and long texts."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import msgspec

HIDDEN: Final = "***"
CUT: Final = "…"
LONGEST_TEXT: Final = 500
"""Characters of a text that are kept."""
LONGEST_NAME: Final = 64
MOST_ITEMS: Final = 50
"""Items of one list or object that are kept."""
DEEPEST: Final = 8
MOST_BYTES: Final = 8192
"""Size of the kept value as JSON."""
SHORTEST_SECRET: Final = 8
"""Length in characters. Shorter known secrets are not searched for, because they may be ordinary words."""

_encode: Final = msgspec.json.Encoder().encode

Redact: TypeAlias = Callable[[Any], Any]

_LONGEST_AUDIT_TEXT: Final = 200
_NESTED: Final = (dict, list, tuple)
_LONGEST_WORD: Final = 32
_SHOWN_OF_CODE: Final = 12
_LOOK_AHEAD: Final = 2000  # so that a secret that crosses the cut is found
_MARGIN_BYTES: Final = 256  # for the marks at the cuts
_NAMES: Final = (
    r"[a-z]*(?:secret|password)|passwd|token|authorization|cookie|signature|api_?key|access_?key|secret_?key|credential"
)
_SECRET_NAME: Final = re.compile(rf"(?:^|_)(?:{_NAMES}|passphrase|pwd|auth|private_?key|encryption_?key)s?(?:$|_)")
_WORD_STARTS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_CREDENTIALS: Final = re.compile(r"\b([Bb][Ee][Aa][Rr][Ee][Rr]|[Bb][Aa][Ss][Ii][Cc])\s+[\w.~+/=-]{6,}")
_SECRET_TEXTS: Final = (
    # A substring of every match, the pattern, and its replacement.
    ("@", re.compile(r"(://[^\s:/@]*:)[^\s@/]+@"), r"\1***@"),
    ("k-", re.compile(r"\b(sk|rk|prk|ak)-[\w-]{8,}"), r"\1-***"),
    ("k_", re.compile(r"\b(sk|rk|prk|ak)_[\w-]{8,}"), r"\1_***"),
    ("AK", re.compile(r"\b(AK(?:LT|TP|IA))[\w=-]{8,}"), r"\1***"),
    (
        "=",
        re.compile(
            r"\b((?:[\w-]*[_-])?(?:secret|password|token|signature|api_?key|access_?key|credential)=)[^\s&;,\"']+",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
)
# A caller's text may quote a header or a piece of JSON. Not used for logs, where it would match ordinary words.
_QUOTED: Final = re.compile(
    r"((?:secret|password|token|signature|authorization|api[_-]?key|access[_-]?key(?:[_-]?id)?|credential)s?"
    r"\\?[\"']?\s*[:=]\s*\\?[\"']?)[^\s&;,\"']{4,}",
    re.IGNORECASE,
)
_SUSPECT: Final = re.compile(r"[=:@]|[A-Za-z0-9+/_-]{10}|[Bb][Ee][Aa][Rr][Ee][Rr]|[Bb][Aa][Ss][Ii][Cc]")
"""Matches in every text in which one of the patterns matches."""
_LONG: Final = re.compile(
    r"(?P<data>data:[\w.+/;=-]*,)(?P<coded>[^\s\"'<>)]*)"
    r"|(?P<link>\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>]+)"
    r"|(?P<code>[A-Za-z0-9+/_=-]{40,})"
)


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """Whether a value with this name is secret. Names may be snake_case, kebab-case or camelCase."""
    return _SECRET_NAME.search(_WORD_STARTS.sub("_", name).lower()) is not None


def without_secrets(text: str) -> str:
    """The text, with API keys, passwords in URLs and signatures replaced by `***`."""
    if " " in text or not text.isprintable():  # other white space is not printable
        text = _CREDENTIALS.sub(r"\1 ***", text)
    for sign, pattern, replacement in _SECRET_TEXTS:
        if sign in text:
            text = pattern.sub(replacement, text)
    return text


def caller_text_without_secrets(text: str) -> str:
    """As `without_secrets`, for text from a caller, which may quote a header or a piece of JSON."""
    return _QUOTED.sub(rf"\1{HIDDEN}", without_secrets(text))


def audit_text(text: str) -> str:
    """A caller's text in a field of an audit row: at most 200 characters, without secrets sent there by mistake."""
    return without_secrets(text[:_LONGEST_AUDIT_TEXT])


def redaction(known: Iterable[str] = ()) -> Redact:
    """
    A function that redacts a JSON value to at most `MOST_BYTES` bytes, with marks at the cuts.

    It removes secrets by name and by pattern, the `known` secrets, and the query and fragment of links. Of encoded
    files, other long runs of letters and digits, and long texts it keeps only the beginning.

    Args:
        known: Secrets of this process, which are found whatever they look like.
    """
    words = sorted({word for word in known if len(word) >= SHORTEST_SECRET}, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, words))) if words else None
    name_shown = lru_cache(maxsize=1024)(lambda name: _short(name, LONGEST_NAME, pattern))
    word_shown = lru_cache(maxsize=1024)(lambda word: _short(word, LONGEST_TEXT, pattern))

    def text_shown(text: str) -> str:
        # Cached, because names of models and sizes repeat.
        return word_shown(text) if len(text) <= _LONGEST_WORD else _short(text, LONGEST_TEXT, pattern)

    return lambda value: _Redactor(name_shown, text_shown).shown("", value)


class _Redactor:
    """Redacts one value and counts the bytes that are kept."""

    def __init__(self, name_shown: Callable[[str], str], text_shown: Callable[[str], str]) -> None:
        self._name_shown = name_shown
        self._text_shown = text_shown
        self._left_bytes = MOST_BYTES - _MARGIN_BYTES

    def shown(self, name: str, value: Any, depth: int = 0) -> Any:
        """The redacted value. `name` is its name in the object that contains it, or empty."""
        if not isinstance(value, _NESTED):
            return self._kept(self._leaf(name, value))
        if (name and is_secret(name)) or depth >= DEEPEST:
            return self._kept(HIDDEN if name and is_secret(name) else CUT)
        return self._object(value, depth) if isinstance(value, dict) else self._list(value, depth)

    def _object(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name, item in self._within_limits(value.items(), len(value)):
            shown_name = self._name_shown(str(name))
            self._left_bytes -= (len(shown_name) if shown_name.isascii() else len(shown_name.encode())) + 3
            shown[shown_name] = self.shown(str(name), item, depth + 1)
        if len(shown) < len(value):
            shown[CUT] = f"{len(value)} fields"
        return shown

    def _list(self, value: Sequence[Any], depth: int) -> list[Any]:
        shown = [self.shown("", item, depth + 1) for item in self._within_limits(value, len(value))]
        return shown if len(shown) == len(value) else [*shown, f"{CUT} ({len(value)} items)"]

    def _within_limits(self, items: Iterable[Any], count: int) -> Iterator[Any]:
        for item in islice(items, min(count, MOST_ITEMS)):
            if self._left_bytes <= 0:
                return
            yield item

    def _leaf(self, name: str, value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if name and is_secret(name) and not (isinstance(value, int | float) and name.lower().endswith("tokens")):
            return HIDDEN
        if isinstance(value, str):
            return self._text_shown(value)
        if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= 64):
            return value
        return CUT

    def _kept(self, value: Any) -> Any:
        size_bytes = len(_encode(value)) + 2  # the separator between values
        if size_bytes > self._left_bytes:
            self._left_bytes = 0
            return CUT
        self._left_bytes -= size_bytes
        return value


def _short(text: str, longest: int, known: re.Pattern[str] | None) -> str:
    shown = text[: longest + _LOOK_AHEAD]
    if known is not None:
        shown = known.sub(HIDDEN, shown)
    if _SUSPECT.search(shown) is not None:
        shown = caller_text_without_secrets(_LONG.sub(_shortened, shown))
    if len(shown) <= longest and len(text) <= longest + _LOOK_AHEAD:
        return shown
    return f"{shown[:longest].rstrip(CUT)}{CUT} ({len(text)} characters)"


def _shortened(match: re.Match[str]) -> str:
    if match["link"] is not None:
        return _bare_link(match["link"])
    start, code = match["data"] or "", match["code"] or match["coded"] or ""
    return f"{start[:100]}{code[:_SHOWN_OF_CODE]}{CUT}"


def _bare_link(link: str) -> str:
    """A link without user, password, query and fragment, which may contain signatures and tokens."""
    try:
        parts = urlsplit(link)
    except ValueError:  # such as an invalid IPv6 address in brackets
        return f"{link.partition('://')[0]}://{CUT}"
    path = "/".join(_short_step(step) for step in parts.path.split("/"))
    more = f"?{CUT}" if parts.query or parts.fragment else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}{more}"


def _short_step(step: str) -> str:
    return step if len(step) < 40 else f"{step[:_SHOWN_OF_CODE]}{CUT}"
