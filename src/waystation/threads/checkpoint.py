"""The coordinates of a checkpoint, as clients name them (spec 4.1) and as LangGraph configs carry them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig

from waystation.errors import UnprocessableInput

__all__ = ["COORDINATES", "checkpoint_of", "configurable_of"]

COORDINATES = ("thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map")
"""The keys of a checkpoint object, which are also those of a config's ``configurable``."""


def configurable_of(checkpoint: Mapping[str, Any] | None, thread_id: str) -> dict[str, Any]:
    """The part of a config's ``configurable`` that addresses `checkpoint` of the thread.

    A `checkpoint_map` (namespace -> checkpoint id) gives the id of the addressed namespace when `checkpoint_id` does not.
    Raises UnprocessableInput for a checkpoint of another thread.
    """
    given = checkpoint or {}
    if (named := given.get("thread_id")) and str(named).lower() != thread_id:
        raise UnprocessableInput(f"checkpoint.thread_id is {named!r}, but the request addresses thread {thread_id}.")
    namespace = given.get("checkpoint_ns") or ""
    by_namespace = given.get("checkpoint_map") or {}
    configurable: dict[str, Any] = {"thread_id": thread_id, "checkpoint_ns": namespace}
    if checkpoint_id := given.get("checkpoint_id") or by_namespace.get(namespace):
        configurable["checkpoint_id"] = checkpoint_id
    if by_namespace:
        configurable["checkpoint_map"] = dict(by_namespace)
    return configurable


def checkpoint_of(config: RunnableConfig | None) -> dict[str, Any] | None:
    """``{thread_id, checkpoint_ns[, checkpoint_id][, checkpoint_map]}`` from a LangGraph config; None without a config."""
    if config is None:
        return None
    configurable = config["configurable"]
    return {name: configurable[name] for name in COORDINATES if configurable.get(name) is not None}
