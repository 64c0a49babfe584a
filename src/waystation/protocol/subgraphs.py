"""Which subgraphs of a run are at work, found out from its tasks.

A subgraph is there as soon as one of its tasks begins. It ends with the task of its parent that it is executed in, whose id is in
the last segment of its namespace: ``node:<task id>``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from waystation.protocol.frames import Namespace

__all__ = ["Subgraph", "Subgraphs"]


class Subgraph(Struct):
    """A namespace below a run's root."""

    namespace: Namespace
    graph_name: str
    status: str = "started"
    cause: dict[str, Any] | None = None
    error: str | None = None

    def shown(self) -> dict[str, Any]:
        """The data of a ``lifecycle`` event."""
        data: dict[str, Any] = {
            "event": self.status,
            "graph_name": self.graph_name,
            "namespace": self.namespace,
            "trigger_call_id": self.namespace[-1].partition(":")[2],
        }
        if self.cause is not None:
            data["cause"] = self.cause
        if self.error is not None:
            data["error"] = self.error
        return data


class Subgraphs:
    """Those of one run."""

    def __init__(self) -> None:
        self.known: dict[Namespace, Subgraph] = {}
        self._tool_calls: dict[str, str] = {}
        """The tool call that a task executes, by the id of the task."""

    def task(self, namespace: Namespace, task: Mapping[str, Any]) -> Iterator[Subgraph]:
        """Take note of a task's start or end; the subgraphs that begin or end with it."""
        if "result" in task:
            yield from self._ended(namespace, task)
            return
        if call := _tool_call(task.get("input")):
            self._tool_calls[task["id"]] = call
        for depth in range(1, len(namespace) + 1):
            if namespace[:depth] not in self.known:
                yield self._started(namespace[:depth], task if depth == len(namespace) else {})

    def end(self, status: str) -> Iterator[Subgraph]:
        """The run has ended: so have all of them."""
        for subgraph in self.known.values():
            if subgraph.status == "started":
                subgraph.status = status
                yield subgraph

    def _started(self, namespace: Namespace, task: Mapping[str, Any]) -> Subgraph:
        name, _, task_id = namespace[-1].partition(":")
        agent = (task.get("metadata") or {}).get("lc_agent_name")
        call = self._tool_calls.get(task_id)
        cause = {"type": "toolCall", "tool_call_id": call} if call is not None else None
        subgraph = self.known[namespace] = Subgraph(namespace, agent if agent and call else name, cause=cause)
        return subgraph

    def _ended(self, namespace: Namespace, task: Mapping[str, Any]) -> Iterator[Subgraph]:
        for subgraph in self.known.values():
            if (
                subgraph.status == "started"
                and subgraph.namespace[:-1] == namespace
                and subgraph.namespace[-1].partition(":")[2] == task.get("id")
            ):
                subgraph.status, subgraph.error = _outcome(task)
                yield subgraph


def _outcome(task: Mapping[str, Any]) -> tuple[str, str | None]:
    if task.get("interrupts"):
        return "interrupted", None
    if error := task.get("error"):
        return "failed", str(error)
    return "completed", None


def _tool_call(given: Any) -> str | None:
    """The id of the tool call that a task was made for."""
    if isinstance(given, Mapping):
        given = [given.get("tool_call")]
    for call in given if isinstance(given, list) else ():
        if isinstance(call, Mapping) and isinstance(call.get("id"), str) and "args" in call:
            return str(call["id"])
    return None
