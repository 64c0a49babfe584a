"""What goes wrong with MCP servers and their registry, beside the errors of this whole API."""

from __future__ import annotations

from typing import Literal

from waystation import errors

__all__ = [
    "DuplicateServer",
    "FailureKind",
    "NotConnected",
    "OAuthUnavailable",
    "ServerFailed",
    "ServerNotFound",
    "SessionNotFound",
]

FailureKind = Literal["auth_failed", "unreachable", "invalid_response"]


class ServerNotFound(errors.NotFound):
    """use the id of a registered MCP server, or the URL of one: there is no such server in this workspace"""

    code = "mcp_server_not_found"


class SessionNotFound(errors.NotFound):
    """use the id that began the sign-in: there is no such auth session"""

    code = "auth_session_not_found"


class DuplicateServer(errors.Conflict):
    """change the registered MCP server, or use another 'url': this workspace has a server with this URL already"""

    code = "conflict"


class OAuthUnavailable(errors.Unavailable):
    """use an MCP server with 'headers': this version of the server does not offer sign-in by OAuth yet"""

    code = "service_unavailable"


class NotConnected(errors.Unavailable):
    """The stored credentials of the server cannot be used."""

    code = "service_unavailable"


class ServerFailed(errors.WaystationError):
    """An MCP server did not do what it was asked: for runs and ``health``. Routes answer `McpServerFailed`."""

    def __init__(self, kind: FailureKind, message: str, *, session_over: bool = False) -> None:
        """`message` says what happened, without addresses or credentials. With `session_over` the server has forgotten the
        session, and has not carried out the request."""
        super().__init__(message)
        self.kind = kind
        self.session_over = session_over
