"""Users by the ids that Managed Deep Agents know them by: UUIDs (MDA 2)."""

from __future__ import annotations

from uuid import UUID, uuid5

__all__ = ["named_uuid", "service_uuid", "user_uuid"]

_USERS = UUID("6f1e1a5c-0d55-5b0e-9c5f-0b8f4c1c7a02")
_SERVICES = UUID("6f1e1a5c-0d55-5b0e-9c5f-0b8f4c1c7a03")


def user_uuid(name: str) -> str:
    """The id of the user `name`, which may be that id already."""
    return named_uuid(_USERS, name)


def service_uuid(workspace: str) -> str:
    """The id of the one user that all services of a workspace are."""
    return str(uuid5(_SERVICES, workspace))


def named_uuid(kind: UUID, name: str) -> str:
    """The id of what is called `name`, among those of a `kind`; a name that is a UUID stands for itself."""
    try:
        return str(UUID(name))
    except ValueError:
        return str(uuid5(kind, name))
