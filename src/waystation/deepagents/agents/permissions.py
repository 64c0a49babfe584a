"""Who may do what with an agent (MDA 5)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from waystation.auth.members import user_uuid
from waystation.deepagents.agents.models import Permissions
from waystation.deepagents.errors import AccessDenied, AgentNotFound, InvalidAgent
from waystation.deepagents.identity import Principal

__all__ = ["Level", "level_of", "new_permissions", "replaced_permissions", "require", "require_owner", "shared_with"]

DEFAULTS: Mapping[str, Any] = {"identity": "personal", "visibility": "tenant", "tenant_access_level": "read"}


class Level(IntEnum):
    """What a caller may do; each level includes those before it."""

    NONE = 0
    READ = 1
    """See and copy."""
    RUN = 2
    WRITE = 3


_LISTS = {"read": Level.READ, "run": Level.RUN, "update": Level.WRITE}


def new_permissions(given: Permissions | None) -> dict[str, Any]:
    """The permissions of a new agent."""
    plain = {} if given is None else given.model_dump(exclude_none=True)
    shared = {name: users for name, users in plain.pop("shared_users", {}).items() if users}
    return {**DEFAULTS, **plain, **({"shared_users": shared} if shared else {})}


def replaced_permissions(before: Mapping[str, Any], given: Permissions) -> dict[str, Any]:
    """`given` in place of `before`. Whose credentials runs use is settled when the agent is made: raises InvalidAgent."""
    changed = new_permissions(given)
    if given.identity is None:
        changed["identity"] = before["identity"]
    if changed["identity"] != before["identity"]:
        raise InvalidAgent(
            f"leave permissions.identity at {before['identity']!r}, or clone the agent: it cannot be changed later"
        )
    return changed


def shared_with(permissions: Mapping[str, Any]) -> dict[str, Level]:
    """The highest level of each user, by id, whom the permissions name."""
    found: dict[str, Level] = {}
    for name, users in permissions.get("shared_users", {}).items():
        for user in users:
            user_id = user_uuid(user)
            found[user_id] = max(found.get(user_id, Level.NONE), _LISTS.get(name, Level.NONE))
    return found


def level_of(agent: Mapping[str, Any], principal: Principal) -> Level:
    """What the caller may do with the agent of a row, of whatever workspace it is."""
    if agent["workspace"] != principal.workspace:
        return Level.NONE
    if agent["owner_id"] == principal.user_id:
        return Level.WRITE
    permissions = agent["settings"]["permissions"]
    level = shared_with(permissions).get(principal.user_id, Level.NONE)
    if permissions["visibility"] == "tenant":
        level = max(level, Level[permissions["tenant_access_level"].upper()])
    return level


def require(agent: Mapping[str, Any] | None, principal: Principal, needed: Level) -> Mapping[str, Any]:
    """The agent. Raises AgentNotFound for one that the caller does not see, AccessDenied for too low a level."""
    level = Level.NONE if agent is None else level_of(agent, principal)
    if agent is None or level is Level.NONE:
        raise AgentNotFound
    if level < needed:
        raise AccessDenied
    return agent


def require_owner(agent: Mapping[str, Any], principal: Principal) -> None:
    """Raises AccessDenied for everybody else."""
    if agent["owner_id"] != principal.user_id:
        raise AccessDenied
