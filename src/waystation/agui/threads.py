"""Whose thread a client means."""

from __future__ import annotations

from uuid import UUID, uuid5

from waystation.auth.access import Access
from waystation.encoding import encode
from waystation.errors import UnprocessableInput

__all__ = ["thread_id_of"]

NAMESPACE = UUID("5a3c7e0c-8a0e-5d1b-9a55-3f0e7c1f2b64")

LONGEST = 1_000
"""Characters of a name."""


def thread_id_of(name: str, access: Access) -> str:
    """The thread that the client calls `name`: the one with that id, or else one that is the caller's alone, always the same for
    this name: clients may call their threads as they like, and so may their neighbours. Raises UnprocessableInput."""
    try:
        return str(UUID(name))
    except ValueError:
        pass
    if not name or len(name) > LONGEST:
        raise UnprocessableInput(f"threadId: must have 1 to {LONGEST} characters; it has {len(name)}.")
    return str(uuid5(NAMESPACE, encode([access.home, access.user_id, name]).decode()))
