"""A caller that is kept: the owner of what the server does later in its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from waystation.auth.access import Access
from waystation.auth.caller import Caller
from waystation.auth.user import AUTH_PERMISSIONS, AUTH_USER, User, configurable_of

if TYPE_CHECKING:
    from waystation.auth.handlers import Handlers

__all__ = ["configurable_of_owner", "kept", "restored"]

STUDIO = "studio"
"""Whether the owner is the SDK's StudioUser. Not told by a field of the user, which whoever made that may have chosen."""


MEMBER = "member"
"""The owner's id among the users of Managed Deep Agents."""


def kept(caller: Caller) -> dict[str, Any]:
    """What to store of a caller, as plain JSON. Of a user that a project's handler made from an object, its data."""
    return {"configurable": configurable_of(caller.described), STUDIO: caller.is_studio, MEMBER: caller.access.member}


def configurable_of_owner(owner: Mapping[str, Any]) -> dict[str, Any]:
    """What graphs get to know of an owner that was `kept`."""
    return dict(owner.get("configurable") or {})


def restored(owner: Mapping[str, Any], user_id: str | None, workspace: str, handlers: Handlers | None) -> Caller:
    """The caller that was `kept`, confined to `workspace` whatever it could see elsewhere; `handlers` are those to ask now,
    which see an anonymous user where there was no authentication then."""
    configurable = configurable_of_owner(owner)
    permissions = tuple(configurable.get(AUTH_PERMISSIONS) or ())
    described = User(configurable.get(AUTH_USER) or {"identity": "", "is_authenticated": False})
    user: Any = described
    if owner.get(STUDIO):
        from langgraph_sdk.auth.types import StudioUser

        user = StudioUser(described.identity)
    access = Access(user_id, permissions, workspace, asked=None if handlers is None else (), member=owner.get(MEMBER))
    return Caller(access, user, described, handlers)
