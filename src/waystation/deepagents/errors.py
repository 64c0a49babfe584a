"""The errors of this API that have a code of their own (MDA 3). The others get one from their status."""

from __future__ import annotations

from waystation import errors

__all__ = [
    "AccessDenied",
    "AgentGone",
    "AgentNotFound",
    "InvalidAgent",
    "InvalidBody",
    "InvalidField",
    "InvalidQuery",
    "McpServerFailed",
    "MissingField",
    "RevisionNotFound",
    "StaleRevision",
    "ThreadNotFound",
    "UnknownAgent",
    "WrongAgent",
]


class AgentNotFound(errors.NotFound):
    """check the agent's id and that it is shared with you: there is no such agent, or you have no access to it"""

    code = "agent_not_found"


class MissingField(errors.BadInput):
    """A required field is absent or blank."""

    code = "missing_required_field"

    def __init__(self, field: str) -> None:
        super().__init__(f"set {field!r} to a non-empty string: {field} is required")


class InvalidBody(errors.BadInput):
    """The body is not JSON of the documented form."""

    code = "invalid_request_body"


class InvalidQuery(errors.BadInput):
    """A parameter of the query is not acceptable."""

    code = "invalid_request"


class InvalidField(errors.UnprocessableInput):
    """The body has the documented form and breaks a rule."""

    code = "validation_error"


class InvalidAgent(InvalidField):
    """The agent would break a rule."""


class RevisionNotFound(errors.NotFound):
    """take the revision from the agent's list of revisions: it has none with this name"""

    code = "revision_not_found"


class StaleRevision(errors.Conflict):
    """read the agent again and repeat the change: somebody else has changed it meanwhile"""

    code = "conflict"


class McpServerFailed(errors.UpstreamFailed):
    """An MCP server did not do what it was asked."""

    code = "upstream_error"


class ThreadNotFound(errors.NotFound):
    """check the thread's id: you have no such thread"""

    code = "thread_not_found"


class UnknownAgent(errors.BadInput):
    """check agent_id and that the agent is shared with you: there is no such agent, or you have no access to it"""

    code = "agent_not_found"


class WrongAgent(errors.BadInput):
    """run the agent that the thread was made for, or make another thread: it is a thread of another agent"""

    code = "invalid_request"


class AgentGone(errors.UpstreamFailed):
    """make a thread with another agent: the agent of this thread was deleted"""

    code = "upstream_auth_failed"


class AccessDenied(errors.Forbidden):
    """The caller may see the agent and may not do this with it."""
