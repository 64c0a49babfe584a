"""The log: one line an event, for people or as JSON, with the run it belongs to and without secrets.

Our own code logs through structlog (``structlog.get_logger(name)``); what uvicorn, libraries and graphs log with the
standard library goes the same way. Lines go to standard error, so that a command's output stays its output.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from waystation.encoding import encode

__all__ = ["configure_logs", "context", "hidden", "redact"]

HIDDEN = "[redacted]"

_SECRET_NAME = re.compile(
    r"(?:^|[_\-. ])(?:api[_-]?key|authorization|password|passwd|secret(?:[_-]key)?|token|cookie|credentials?"
    r"|private[_-]key|service[_-]key)$",
    re.IGNORECASE,
)
_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)")

_context: ContextVar[Mapping[str, str]] = ContextVar("waystation_log_context", default=MappingProxyType({}))

_CHATTY = {"uvicorn.access": logging.WARNING, "httpx": logging.WARNING, "httpcore": logging.WARNING}
"""Loggers that write a line for each request: silent unless something is wrong, or the level is DEBUG."""


def configure_logs(level: str = "INFO", *, json: bool = False, color: bool = True) -> None:
    """Set up the log of this process: LOG_LEVEL, LOG_JSON, LOG_COLOR (spec 22). Colour needs a terminal."""
    number = logging.getLevelNamesMapping()[level]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _in_context,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    rendering = _rendering(json, color)
    structlog.configure(
        processors=[*shared, _name, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_Output,
    )
    handler = logging.StreamHandler(_StandardError())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    for name, least in _CHATTY.items():
        logging.getLogger(name).setLevel(logging.NOTSET if number <= logging.DEBUG else least)


class context:
    """A block whose lines, also those of tasks started in it, name the run, thread or request they belong to."""

    __slots__ = ("_given", "_token")

    def __init__(
        self, *, run_id: str | None = None, thread_id: str | None = None, request_id: str | None = None
    ) -> None:
        given = {"run_id": run_id, "thread_id": thread_id, "request_id": request_id}
        self._given = {name: value for name, value in given.items() if value is not None}

    def __enter__(self) -> None:
        self._token = _context.set({**_context.get(), **self._given})

    def __exit__(self, *_error: object) -> None:
        _context.reset(self._token)


def _in_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What the line belongs to, unless it says so itself."""
    return {**_context.get(), **event}


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide the values of names that sound secret, at any depth, and passwords in URLs."""
    for name, value in event.items():
        event[name] = _redacted(name, value)
    return event


def hidden(name: str, value: str) -> str:
    """`value`, or a word in its place if `name` sounds secret; without passwords in URLs."""
    shown: str = _redacted(name, value)
    return shown


def _redacted(name: object, value: Any) -> Any:
    if value is not None and isinstance(name, str) and _is_secret(name):
        return HIDDEN
    if isinstance(value, str):
        return _CREDENTIALS_IN_URL.sub(HIDDEN, value) if "://" in value and "@" in value else value
    if isinstance(value, Mapping):
        return {inner: _redacted(inner, part) for inner, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(None, part) for part in value]
    return value


@lru_cache(maxsize=1000)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _rendering(json: bool, color: bool) -> list[Processor]:
    if json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_serialize)]
    # Plain tracebacks: the pretty ones print local variables, and with them whatever secrets those hold.
    traceback = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=color and sys.stderr.isatty(), exception_formatter=traceback)]


def _serialize(event: EventDict, **_options: Any) -> str:
    return encode(event).decode()


def _name(logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The name given to ``structlog.get_logger``, as the standard library's lines have it."""
    if isinstance(logger, _Output) and logger.name:
        event["logger"] = logger.name
    return event


class _StandardError:
    """Standard error as it is when a line is written: it may have been replaced since."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class _Output:
    """Where structlog's lines end: whole, one write each."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def msg(self, line: str) -> None:
        sys.stderr.write(line + "\n")

    debug = info = warning = error = critical = exception = fatal = warn = msg
