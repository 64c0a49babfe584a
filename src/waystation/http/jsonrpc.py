"""JSON-RPC 2.0 messages in the bodies of requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from waystation.encoding import decode
from waystation.errors import WaystationError

__all__ = [
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "PARSE_ERROR",
    "Call",
    "CallId",
    "RpcError",
    "failure",
    "parse",
    "success",
]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

CallId = str | int | None
"""What ties an answer to its request; None where that could not be read."""


class RpcError(WaystationError):
    """The request cannot be answered."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class Call(Struct, frozen=True):
    """A message from a client. One without a method is an answer to the server, which asks nothing."""

    method: str | None
    params: Any
    id: CallId
    is_notification: bool
    """Whether it has no id, so that nobody waits for an answer."""


def parse(data: bytes) -> Call:
    """The message in a body. Raises RpcError for anything else: batches are refused, and so is an id that is no text or integer."""
    try:
        message = decode(data)
    except ValueError as error:
        raise RpcError(PARSE_ERROR, f"The body is not JSON: {error}.") from None
    if not isinstance(message, Mapping):
        raise RpcError(INVALID_REQUEST, "The body must be one JSON-RPC object; batches are not supported.")
    if message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'jsonrpc: must be "2.0".')
    given, method = message.get("id"), message.get("method")
    if "id" in message and (isinstance(given, bool) or not isinstance(given, str | int)):
        raise RpcError(INVALID_REQUEST, "id: must be a string or an integer.")
    if method is None and ("result" in message or "error" in message):
        return Call(None, None, given, is_notification=True)
    if not isinstance(method, str) or not method:
        raise RpcError(INVALID_REQUEST, "method: must be a string.")
    return Call(method, message.get("params"), given, is_notification="id" not in message)


def success(call_id: CallId, result: Any) -> dict[str, Any]:
    """The answer to a call that went well."""
    return {"jsonrpc": "2.0", "id": call_id, "result": result}


def failure(call_id: CallId, error: RpcError) -> dict[str, Any]:
    """The answer to a call that failed."""
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return {"jsonrpc": "2.0", "id": call_id, "error": told}
