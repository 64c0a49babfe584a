"""A client's command as LangGraph takes it (spec 6.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph.types import Command, Send

__all__ = ["graph_command"]


def graph_command(command: Mapping[str, Any]) -> Command[Any]:
    """`command` with the keys ``update`` (an object, or a list of ``[key, value]`` pairs, which LangGraph wants as tuples),
    ``resume`` and ``goto`` (a node's name, ``{node, input}``, or a list of either)."""
    update, goto = command.get("update"), command.get("goto")
    if isinstance(update, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in update):
        update = [tuple(pair) for pair in update]
    targets = goto if isinstance(goto, list) else [goto] if goto else []
    return Command(
        update=update,
        resume=command.get("resume"),
        goto=[Send(each["node"], each["input"]) if isinstance(each, Mapping) else each for each in targets],
    )
