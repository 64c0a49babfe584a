"""From what a graph streams to the events of the wire (spec 8.3, 8.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message

from waystation.encoding import encode

__all__ = ["Translator", "graph_modes"]

Emit = Callable[[str, Any], None]

_ALWAYS = ("values", "updates")
"""Modes every graph streams to us: the last values are the run's result, and only ``updates`` tells of breakpoints, which may
be compiled into the graph or into a subgraph of it."""

HIDDEN_TAG = "langsmith:hidden"


def graph_modes(requested: Sequence[str]) -> list[str]:
    """The stream modes to ask of LangGraph for the modes a client requested."""
    modes = dict.fromkeys(_ALWAYS)
    modes.update(
        dict.fromkeys("messages" if mode == "messages-tuple" else mode for mode in requested if mode != "events")
    )
    return list(modes)


class Translator:
    """Turns chunks of one run into named events and remembers what the run's result depends on."""

    def __init__(self, requested: Sequence[str], emit: Emit, *, subgraphs: bool) -> None:
        self._requested = frozenset(requested)
        self._subgraphs = subgraphs
        self._emit = emit
        self._partial: dict[str, BaseMessage] = {}
        self._metadata: tuple[Mapping[str, Any], orjson.Fragment] | None = None
        self.values: Any = None
        """The last state of the root graph, without interrupts; None before the first."""
        self.interrupted: list[Any] = []
        """Root states that carried ``__interrupt__``."""
        self.stopped_early = False
        """Whether the graph stopped at ``interrupt_before`` or ``interrupt_after``, or on an interrupt."""

    def chunk(self, namespace: tuple[str, ...], mode: str, payload: Any) -> None:
        """Handle one chunk of the graph's stream. Of subgraphs that the client did not ask for only messages are shown."""
        if namespace and not self._subgraphs:
            if mode != "messages":
                return
            namespace = ()
        if mode == "values":
            if not namespace:
                self._note_values(payload)
        elif mode == "updates" and not namespace and isinstance(payload, Mapping) and "__interrupt__" in payload:
            self.stopped_early = True
            if payload["__interrupt__"] and not self._requested & {"values", "updates"}:
                # Nothing else would tell of it, and a chat would wait for ever (MDA 12.3).
                self._emit("values", payload)
        elif mode == "messages":
            self._messages(namespace, payload)
            return
        if mode not in self._requested:
            return
        name = f"{mode}|{'|'.join(namespace)}" if namespace else mode
        if mode == "checkpoints":
            payload = _checkpoint(payload)
        elif mode == "debug":
            payload = _debug(payload)
        self._emit(name, payload)

    def langchain_event(self, event: Mapping[str, Any]) -> None:
        """Handle one LangChain event, for the mode ``events``."""
        if HIDDEN_TAG not in (event.get("tags") or ()):
            self._emit("events", event)

    def _note_values(self, payload: Any) -> None:
        if isinstance(payload, Mapping) and "__interrupt__" in payload:
            self.stopped_early = True
            self.interrupted.append(payload)
            self.values = {k: v for k, v in payload.items() if k != "__interrupt__"}
        else:
            self.values = payload

    def result(self, values: Any) -> Any:
        """What a waiting client gets for a run that left `values` behind (spec 6.4)."""
        if len(self.interrupted) == 1:
            return self.interrupted[0]
        if self.interrupted:
            return {"__interrupt__": [each for state in self.interrupted for each in state["__interrupt__"]]}
        return {} if values is None else values

    # --- messages

    def _messages(self, namespace: tuple[str, ...], payload: tuple[BaseMessage, Mapping[str, Any]]) -> None:
        message, metadata = payload
        if "messages-tuple" in self._requested:
            name = f"messages|{'|'.join(namespace)}" if namespace else "messages"
            self._emit(name, (message, self._encoded(metadata)))
        if "messages" in self._requested:
            for name, data in self._accumulated(message, metadata):
                self._emit(name, data)

    def _encoded(self, metadata: Mapping[str, Any]) -> orjson.Fragment:
        """The metadata as JSON. All tokens of one model call come with the same object: encode it once."""
        if self._metadata is None or self._metadata[0] is not metadata:
            self._metadata = metadata, orjson.Fragment(encode(metadata))
        return self._metadata[1]

    def _accumulated(self, message: BaseMessage, metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        message_id = message.id or ""
        known = self._partial.get(message_id)
        if known is None:
            yield "messages/metadata", {message_id: {"metadata": metadata}}
        if not isinstance(message, BaseMessageChunk):
            self._partial[message_id] = message
            yield "messages/complete", [message]
            return
        whole = known + message if isinstance(known, BaseMessageChunk) else message
        self._partial[message_id] = whole
        yield "messages/partial", [message_chunk_to_message(whole)]


# --- checkpoints


def _coordinates(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    configurable = (config or {}).get("configurable") or {}
    if not configurable.get("checkpoint_id") and not configurable.get("checkpoint_ns"):
        return None
    return {
        key: configurable[key]
        for key in ("checkpoint_id", "thread_id", "checkpoint_ns", "checkpoint_map")
        if key in configurable
    }


def _public_config(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if config is None:
        return None
    configurable = {k: v for k, v in (config.get("configurable") or {}).items() if not k.startswith("__")}
    return {**config, "configurable": configurable}


def _checkpoint(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **payload,
        "config": _public_config(payload["config"]),
        "parent_config": _public_config(payload["parent_config"]),
    }


def _debug(wrapper: Mapping[str, Any]) -> dict[str, Any]:
    if wrapper["type"] != "checkpoint":
        return dict(wrapper)
    payload = _checkpoint(wrapper["payload"])
    return {
        **wrapper,
        "payload": {
            **payload,
            "checkpoint": _coordinates(payload["config"]),
            "parent_checkpoint": _coordinates(payload["parent_config"]),
            "tasks": [_debug_task(task) for task in payload["tasks"]],
        },
    }


def _debug_task(task: Mapping[str, Any]) -> dict[str, Any]:
    state = task.get("state")
    if isinstance(state, Mapping) and "configurable" in state:
        return {**task, "state": None, "checkpoint": dict(state["configurable"])}
    return dict(task)
