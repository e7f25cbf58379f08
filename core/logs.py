"""Logs: structlog, JSON in production, readable on a terminal, ids bound once per task, secrets left out."""

import logging
import logging.handlers
import re
import sys
from collections.abc import Iterable
from typing import Any, Final

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from core.settings import Settings

_SECRET_NAMES: Final = re.compile(
    r"(?:^|_)(?:secret|password|token|authorization|signature|api_?key|access_?key|credential)s?(?:$|_)", re.IGNORECASE
)
_HIDDEN: Final = "***"
_LONGEST_VALUE: Final = 2000


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide values whose name says that they are secret, and cut very long ones."""
    return {name: _HIDDEN if _SECRET_NAMES.search(name) else _cut(value) for name, value in event.items()}


def set_up_logs(settings: Settings, *, process: str) -> None:
    """
    Send the logs of this process to standard error, and to `LOG_DIR/<process>.log` where that is set.

    Logs of libraries go the same way. Called once, by a composition root.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = list(_handlers(settings, process, shared))
    root.setLevel(settings.log_level.upper())
    for noisy in ("httpx", "httpcore", "pymongo", "arq", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _handlers(settings: Settings, process: str, shared: list[Processor]) -> Iterable[logging.Handler]:
    stream = logging.StreamHandler(sys.stderr)
    readable = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    stream.setFormatter(_formatter(shared, readable=readable))
    yield stream
    if settings.log_dir is not None:
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        file = logging.handlers.TimedRotatingFileHandler(
            settings.log_dir / f"{process}.log", when="midnight", utc=True, backupCount=settings.log_keep_days
        )
        file.setFormatter(_formatter(shared, readable=False))
        yield file


def _formatter(shared: list[Processor], *, readable: bool) -> logging.Formatter:
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if readable
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_VALUE:
        return f"{value[:_LONGEST_VALUE]}… ({len(value)} characters)"
    return value
