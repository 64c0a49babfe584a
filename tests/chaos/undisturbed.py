"""What the graphs do when nothing goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from langgraph.channels import BinaryOperatorAggregate
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from tests.chaos.project import graphs
from waystation.encoding import encode

__all__ = ["INTERRUPT", "Undisturbed", "plain", "undisturbed"]

INTERRUPT = "__interrupt__"
"""Where a state has the questions that it waits with."""


@dataclass
class Undisturbed:
    """The runs of one thread."""

    values: list[list[Any]] = field(default_factory=list)
    """Of each run: the states that its stream shows, in order."""
    states: list[Any] = field(default_factory=list)
    """The thread's state at first, and after each run."""
    waiting: bool = False
    """Whether the thread waits for an answer in the end."""


async def undisturbed(graph: str, runs: Sequence[dict[str, Any]]) -> Undisturbed:
    """What comes of runs with these `input` or `command`, one after the other on one thread."""
    compiled = getattr(graphs, graph).builder.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "thread"}}
    found = Undisturbed(states=[{name: [] for name, channel in compiled.channels.items() if _collects(channel)}])
    for run in runs:
        given = Command(resume=run["command"]["resume"]) if run.get("command") else run["input"]
        found.values.append([plain(each) async for each in compiled.astream(given, config, stream_mode="values")])
        snapshot = await compiled.aget_state(config)
        found.states.append(plain(snapshot.values))
        found.waiting = bool(snapshot.next)
    return found


def _collects(channel: Any) -> bool:
    """Whether the channel holds a list before anything was written to it."""
    return isinstance(channel, BinaryOperatorAggregate)


def plain(values: Any) -> Any:
    """A state as JSON, without the ids of interrupts, which are different each time."""
    found = orjson.loads(encode(values))
    if isinstance(found, dict) and INTERRUPT in found:
        found[INTERRUPT] = [each["value"] for each in found[INTERRUPT]]
    return found
