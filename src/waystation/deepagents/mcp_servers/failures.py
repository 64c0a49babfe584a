"""What goes wrong with MCP servers and their registry. Each error has the `code` that its answer carries (section 3)."""

from __future__ import annotations

from typing import Literal

from waystation import errors

__all__ = [
    "DuplicateServer",
    "FailureKind",
    "InvalidBody",
    "InvalidField",
    "MissingField",
    "NotConnected",
    "OAuthUnavailable",
    "ServerFailed",
    "ServerNotFound",
]

FailureKind = Literal["auth_failed", "unreachable", "invalid_response"]


class MissingField(errors.BadInput):
    """A required field is missing."""

    code = "missing_required_field"


class InvalidBody(errors.BadInput):
    """The request does not have the required form."""

    code = "invalid_request_body"


class InvalidField(errors.UnprocessableInput):
    """A field breaks a rule."""

    code = "validation_error"


class ServerNotFound(errors.NotFound):
    """Use the id of a registered MCP server, or the URL of one: there is no such server in this workspace."""

    code = "mcp_server_not_found"


class DuplicateServer(errors.Conflict):
    """Change the registered MCP server, or use another 'url': this workspace has a server with this URL already."""

    code = "conflict"


class OAuthUnavailable(errors.Unavailable):
    """Use an MCP server with 'headers': this version of the server does not offer sign-in by OAuth yet."""

    code = "service_unavailable"


class NotConnected(errors.Unavailable):
    """The stored credentials of the server cannot be used."""

    code = "service_unavailable"


class ServerFailed(errors.WaystationError):
    """An MCP server did not do what it was asked."""

    code = "upstream_error"

    def __init__(self, kind: FailureKind, message: str, *, session_over: bool = False) -> None:
        """`message` says what happened, without addresses or credentials. With `session_over` the server has forgotten the
        session, and has not carried out the request."""
        super().__init__(message)
        self.kind = kind
        self.session_over = session_over
