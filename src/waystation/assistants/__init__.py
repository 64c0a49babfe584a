"""Assistants: a graph with a configuration, a name and a history of versions (spec 2)."""

from waystation.assistants.defaults import assistant_id_for_graph, install
from waystation.assistants.published import publish, republish, withdraw
from waystation.assistants.queries import is_shared
from waystation.assistants.resolution import NOT_RUNNABLE, Assistant, ask_for, assistant_id_of

__all__ = [
    "NOT_RUNNABLE",
    "Assistant",
    "ask_for",
    "assistant_id_for_graph",
    "assistant_id_of",
    "install",
    "is_shared",
    "publish",
    "republish",
    "withdraw",
]
