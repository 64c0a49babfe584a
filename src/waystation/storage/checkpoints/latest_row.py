"""Knowing again, from one write of a run to the next, that they share their metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from langchain_core.runnables import RunnableConfig
from msgspec import Struct

from waystation.storage.checkpoints.queries import RunRow

__all__ = ["LatestRow"]


class LatestRow(Struct, frozen=True):
    """The run's row that was written last, and the config that it was made of: LangGraph gives the same one with each write, but for
    the address in it."""

    row: RunRow
    thread_id: str
    metadata: Mapping[str, Any]
    size: int
    """How many entries that has had."""
    configured: Sequence[tuple[str, Any]]
    """Entries of the config's ``configurable`` that are in the row."""
    keys: AbstractSet[str]
    """What the row has an entry for."""

    @staticmethod
    def of(
        thread_id: str, config: RunnableConfig, own: Mapping[str, Any], shared: Mapping[str, Any], row: RunRow
    ) -> LatestRow | None:
        """None if the row is that of no run, or lacks what a checkpoint has said itself and the next one may not."""
        metadata, configurable = config.get("metadata") or {}, config["configurable"]
        if "run_id" not in shared or not own.keys().isdisjoint((*metadata, *configurable)):
            return None
        configured = [(key, value) for key, value in configurable.items() if key in shared]
        return LatestRow(row, thread_id, metadata, len(metadata), configured, shared.keys())

    def fits(self, thread_id: str, config: RunnableConfig, own: Mapping[str, Any]) -> bool:
        """Whether the row is that of this config, too."""
        if self.metadata is not config.get("metadata") or self.size != len(self.metadata):
            return False
        configurable = config["configurable"]
        for key, value in self.configured:
            if configurable.get(key) is not value:
                return False
        return self.thread_id == thread_id and self.keys.isdisjoint(own)
