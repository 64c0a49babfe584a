"""From what a client calls an assistant (its id or a graph id) to the assistant (spec 2.2, 5.2)."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Connection, bindparam, select

from waystation.assistants.defaults import assistant_id_for_graph
from waystation.auth.access import Access
from waystation.errors import NotFound, UnprocessableInput
from waystation.storage.prepared import Prepared
from waystation.storage.tables import assistants

__all__ = ["NOT_RUNNABLE", "Assistant", "ask_for", "assistant_id_of"]

NOT_RUNNABLE = "The assistant or the thread does not exist."
"""One message for a missing assistant and a missing thread of a run (spec 5.2)."""

_RESOLVE = Prepared(
    select(
        assistants.c.assistant_id,
        assistants.c.graph_id,
        assistants.c.config,
        assistants.c.context,
        assistants.c.metadata,
        assistants.c.version,
    ).where(assistants.c.assistant_id == bindparam("assistant_id"))
)


class Assistant(Struct, frozen=True):
    """What it takes to run an assistant."""

    assistant_id: str
    graph_id: str
    config: dict[str, Any]
    context: dict[str, Any]
    metadata: dict[str, Any]
    version: int


def assistant_id_of(text: str, graphs: Container[str]) -> str:
    """The assistant id that `text` means: itself, or the id of the system-created assistant of the graph it names.

    Raises UnprocessableInput for a string that is neither a UUID nor one of `graphs`.
    """
    try:
        return str(UUID(text))
    except ValueError:
        if text in graphs:
            return assistant_id_for_graph(text)
    raise _neither(text)


def ask_for(
    conn: Connection, access: Access, assistant_id_or_graph_id: str, graphs: Container[str] = ()
) -> Callable[[], Assistant]:
    """Ask the database for the assistant of a run. Call what this returns to get it, in the same transaction.

    That raises NotFound, with `NOT_RUNNABLE`, for an assistant that does not exist; UnprocessableInput for a string that is
    neither a UUID nor the id of a graph. Everybody may run what the server made itself (spec 18.4). `graphs` tells the two
    apart where the assistant of a graph has been deleted.
    """
    try:
        assistant_id, known = str(UUID(assistant_id_or_graph_id)), True
    except ValueError:
        assistant_id = assistant_id_for_graph(assistant_id_or_graph_id)
        known = assistant_id_or_graph_id in graphs
    asked = _RESOLVE.within(access, assistants.c.metadata, shared="visible").ask(conn, {"assistant_id": assistant_id})

    def found() -> Assistant:
        row = asked.first()
        if row is not None:
            return Assistant(*row)
        if known:
            raise NotFound(NOT_RUNNABLE)
        raise _neither(assistant_id_or_graph_id)

    return found


def _neither(text: str) -> UnprocessableInput:
    return UnprocessableInput(f"Invalid assistant {text!r}: it must be a UUID or the id of a graph.")
