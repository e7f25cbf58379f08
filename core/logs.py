"""Logs: structlog with JSON in production and text on a terminal; ids are bound once per task, secrets are hidden."""

import asyncio
import atexit
import logging
import logging.handlers
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.types import EventDict, Processor, WrappedLogger

from core.redaction import HIDDEN, is_secret, without_secrets
from core.settings import Settings

_LONGEST_VALUE: Final = 2000
_DEEPEST: Final = 8
_UNTOUCHED: Final = frozenset({"exc_info", "_record", "_from_structlog"})
"""Keys that structlog itself reads later."""

_NUMBERS: Final = frozenset({int, float, bool, type(None)})
_PLAIN: Final = _NUMBERS | {str}


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """
    Hide secrets in a log event: values with a secret name, at any depth, and texts that look like a secret.

    Cuts texts after 2,000 characters. Numbers are kept, because `input_tokens` is a count.
    """
    return {name: value if name in _UNTOUCHED else _shown(name, value, depth=0) for name, value in event.items()}


def set_up_logs(settings: Settings, *, process: str) -> None:
    """
    Write the logs of this process to standard error, and to `LOG_DIR/<process>.log` if LOG_DIR is set.

    Logs of libraries are written there too. Call it once, from a composition root.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    handlers = list(_handlers(settings, process, shared))
    fast_writer = [_FastWriter(handlers[0])] if len(handlers) == 1 and not _readable(settings) else []
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *fast_writer,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a cached logger would keep this configuration after a later call
    )
    root = logging.getLogger()
    root.handlers = [*handlers]
    root.setLevel(settings.log_level.upper())
    for noisy in ("httpx", "httpcore", "pymongo", "arq", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


class _FastWriter:
    """
    Writes events whose values are all plain as JSON lines, without `logging` records and the chain of processors, which
    cost many times as much. All other events take the standard path, which writes the same line.

    Lines of one iteration of the event loop are written together at its end: each write releases the interpreter's
    lock, and another thread may then hold it for long.
    """

    def __init__(self, handler: "logging.StreamHandler[TextIO]") -> None:
        self._handler = handler
        self._lines: deque[str] = deque()
        self._writer: asyncio.AbstractEventLoop | None = None
        atexit.register(self._write)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if "exc_info" in event or any(type(value) not in _PLAIN for value in event.values()):
            self._write()  # keeps the order of lines
            return event
        line = redact(logger, method, structlog.contextvars.merge_contextvars(logger, method, event))
        line = {**line, "level": method, "logger": logger.name, "timestamp": datetime.now(UTC).isoformat()[:-6] + "Z"}
        try:
            self._lines.append(msgspec.json.encode(line).decode() + "\n")
        except (TypeError, ValueError):  # the standard path handles these values
            return event
        self._write_soon()
        raise structlog.DropEvent

    def _write_soon(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
            return
        if self._writer is not loop:
            self._writer = loop
            loop.call_soon(self._write)

    def _write(self) -> None:
        self._writer = None
        self._handler.acquire()
        try:
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if lines:
                self._handler.stream.write("".join(lines))
                self._handler.stream.flush()
        except (OSError, ValueError):  # standard error is closed
            pass
        finally:
            self._handler.release()


def _handlers(settings: Settings, process: str, shared: list[Processor]) -> "Iterable[logging.StreamHandler[Any]]":
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_formatter(shared, readable=_readable(settings)))
    yield stream
    if settings.log_dir is not None:
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        file = logging.handlers.TimedRotatingFileHandler(
            settings.log_dir / f"{process}.log", when="midnight", utc=True, backupCount=settings.log_keep_days
        )
        file.setFormatter(_formatter(shared, readable=False))
        yield file


def _readable(settings: Settings) -> bool:
    return settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())


def _formatter(shared: list[Processor], *, readable: bool) -> logging.Formatter:
    last: list[Processor] = (
        [
            structlog.processors.format_exc_info,
            _redact_exception,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
        if readable
        else [
            # Leaves out local variables, because they contain keys and callers' input.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            _redact_exception,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _redact_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Redact the rendered exception; the rest of the event is redacted already."""
    if "exception" in event:
        event["exception"] = _shown("exception", event["exception"], depth=0)
    return event


def _shown(name: object, value: Any, *, depth: int) -> Any:
    if type(value) in _NUMBERS:
        return value
    if is_secret(str(name)) or depth > _DEEPEST:
        return HIDDEN
    if isinstance(value, str):
        return without_secrets(value if len(value) <= _LONGEST_VALUE or name == "exception" else _cut(value))
    if isinstance(value, Mapping):
        return {key: _shown(key, item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [_shown("", item, depth=depth + 1) for item in value]
    return value


def _cut(text: str) -> str:
    return f"{text[:_LONGEST_VALUE]}… ({len(text)} characters)"
