"""From what the libraries say of a call that failed to what a person, a model and ``health`` are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from mcp import MCPError
from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT

from waystation.deepagents.mcp_servers.failures import FailureKind, ServerFailed
from waystation.deepagents.mcp_servers.transport import TRACE, Trace
from waystation.outgoing import UrlRefused

__all__ = ["diagnosed"]

LONGEST_TEXT = 500
"""Characters of a server's own words that are repeated."""

_GATEWAY = frozenset({502, 503, 504})
"""Statuses of something that stands before a server that is away."""


@contextmanager
def diagnosed(seconds: float) -> Iterator[None]:
    """Turns whatever goes wrong with a call that may take `seconds` into ServerFailed."""
    trace = Trace()
    token = TRACE.set(trace)
    try:
        yield
    except ServerFailed:
        raise
    except Exception as error:
        raise _failure(error, trace, seconds) from error
    finally:
        TRACE.reset(token)


def _failure(error: Exception, trace: Trace, seconds: float) -> ServerFailed:
    if trace.error is not None:
        return _without_answer(trace.error, seconds)
    status = trace.status
    if status is not None and status >= 400:
        if status in (401, 403):
            return ServerFailed("auth_failed", f"it refused the credentials (status {status})")
        kind: FailureKind = "unreachable" if status in _GATEWAY else "invalid_response"
        return ServerFailed(kind, f"it answered with status {status}", session_over=status == 404)
    if isinstance(error, TimeoutError) or (isinstance(error, MCPError) and error.code == REQUEST_TIMEOUT):
        return ServerFailed("unreachable", f"it did not answer within {seconds:g} s")
    if isinstance(error, MCPError):
        if error.code == CONNECTION_CLOSED:
            return ServerFailed("unreachable", "it closed the connection before it had answered")
        return ServerFailed("invalid_response", f"it answered with an error: {error.message[:LONGEST_TEXT]}")
    return ServerFailed("invalid_response", "what it answered is not the Model Context Protocol")


def _without_answer(error: Exception, seconds: float) -> ServerFailed:
    if isinstance(error, UrlRefused):
        return ServerFailed("unreachable", error.message)
    if isinstance(error, httpx.DecodingError):
        return ServerFailed("invalid_response", str(error))
    if isinstance(error, httpx.TimeoutException):
        return ServerFailed("unreachable", f"it did not answer within {seconds:g} s")
    if isinstance(error, httpx.ConnectError):
        return ServerFailed("unreachable", "no connection could be made")
    return ServerFailed("unreachable", "the connection broke before it had answered")
