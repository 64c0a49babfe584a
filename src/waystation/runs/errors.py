"""Exceptions of user code as clients may see them (spec 6.3)."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError

from langgraph.errors import EmptyInputError, GraphBubbleUp, GraphRecursionError, InvalidUpdateError
from starlette.exceptions import HTTPException

from waystation.errors import WaystationError

__all__ = ["GENERIC_MESSAGE", "JobTimeout", "UserInterrupt", "UserRollback", "sanitise"]

GENERIC_MESSAGE = "An internal error occurred"

_SHOWN: tuple[type[BaseException], ...] = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RuntimeError,
    RecursionError,
    TimeoutError,
    GraphRecursionError,
    InvalidUpdateError,
    EmptyInputError,
    GraphBubbleUp,
    HTTPException,
    asyncio.CancelledError,
    CancelledError,
    WaystationError,
)


class UserInterrupt(Exception):
    """The run was cancelled."""


class UserRollback(Exception):
    """The run was cancelled and its effects undone."""


class JobTimeout(Exception):
    """The run exceeded the server's time limit."""


def sanitise(error: BaseException) -> dict[str, str]:
    """`error` as ``{"error": class name, "message": text}``. Only well-known classes and their subclasses keep their text:
    the message of any other may hold anything, e.g. a connection string."""
    shown = isinstance(error, (*_SHOWN, UserInterrupt, UserRollback, JobTimeout)) or type(error).__module__.startswith(
        "langgraph."
    )
    return {"error": type(error).__name__, "message": str(error) if shown else GENERIC_MESSAGE}
