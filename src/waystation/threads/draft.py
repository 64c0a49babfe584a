"""A draft: what a state write is about to record, held back until it can be committed as a whole.

LangGraph writes a state update as several calls of the saver: the updates of the tasks it completes, the new checkpoint, the
sends that follow from it. Were each a transaction of its own, a run created between two of them would start from half an
update. A `Draft` stands in for the saver, answers reads as if everything had been written already, and hands the calls
over in the end, so that they, the check that no run is in flight, and the thread's row become one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
    copy_checkpoint,
)
from msgspec import Struct
from sqlalchemy import Connection

from waystation.storage.checkpoints import Saver, newest_checkpoint_id

__all__ = ["Draft", "DraftCheckpoint", "DraftWrites"]


class DraftCheckpoint(Struct, frozen=True):
    """The arguments of a `put`."""

    config: RunnableConfig
    checkpoint: Checkpoint
    metadata: CheckpointMetadata
    new_versions: ChannelVersions


class DraftWrites(Struct, frozen=True):
    """The arguments of a `put_writes`."""

    config: RunnableConfig
    writes: Sequence[tuple[str, Any]]
    task_id: str
    task_path: str


class Draft(BaseCheckpointSaver[Any]):
    """A saver on top of `base` that keeps what is written to it in `entries`, in order.

    `metadata` is added to that of every checkpoint; nothing else of the config is (spec 4.1: a state write's checkpoint).
    """

    def __init__(self, base: Saver, metadata: Mapping[str, Any]) -> None:
        super().__init__(serde=base.serde)
        self.entries: list[DraftCheckpoint | DraftWrites] = []
        self._base = base
        self._metadata = metadata
        self._thread_id: str = metadata["thread_id"]
        self._newest: dict[str, str | None] = {}
        """By namespace: the newest stored checkpoint, where that is what the draft started from."""

    def get_next_version(self, current: Any, channel: None) -> Any:
        return self._base.get_next_version(current, channel)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = self._drafted(config)
        if found is None:
            found = await self._base.aget_tuple(config)
            namespace, wanted = _key(config)
            if wanted is None:
                self._newest[namespace] = found.checkpoint["id"] if found is not None else None
        return None if found is None else found._replace(pending_writes=self._with_drafted_writes(found))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        target = self._drafted(config)
        if target is None:
            return await self._base.aget_delta_channel_history(config=config, channels=channels)
        histories: dict[str, DeltaChannelHistory] = {channel: {"writes": []} for channel in channels}
        place = target.parent_config
        while place is not None and (unseeded := [name for name in channels if "seed" not in histories[name]]):
            found = await self.aget_tuple(place)
            if found is None:
                break
            values = found.checkpoint["channel_values"]
            for name in unseeded:
                older: DeltaChannelHistory = {"writes": [w for w in found.pending_writes or [] if w[1] == name]}
                if name in values:
                    older["seed"] = values[name]
                _extend_back(histories[name], older)
            if self._drafted(place) is None:
                unseeded = [name for name in unseeded if name not in values]
                rest = await self._base.aget_delta_channel_history(config=found.config, channels=unseeded)
                for name in unseeded:
                    _extend_back(histories[name], rest[name])
                break
            place = found.parent_config
        return histories

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        bare = _address(config)
        full: Any = {**metadata, **self._metadata}
        self.entries.append(DraftCheckpoint(bare, copy_checkpoint(checkpoint), full, new_versions))
        return _at(bare, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self.entries.append(DraftWrites(_address(config), list(writes), task_id, task_path))

    def is_current(self, conn: Connection) -> bool:
        """Whether the checkpoints that the draft took for the newest ones still are, and its own will be newer."""
        first: dict[str, str] = {}
        for entry in self.entries:
            if isinstance(entry, DraftCheckpoint):
                first.setdefault(_key(entry.config)[0], entry.checkpoint["id"])
        for namespace in {*self._newest, *first}:
            newest = newest_checkpoint_id(conn, self._thread_id, namespace)
            if newest != self._newest.get(namespace, newest) or (newest or "") >= first.get(namespace, "~"):
                return False
        return True

    def record(self, conn: Connection) -> None:
        """Write all entries."""
        for entry in self.entries:
            if isinstance(entry, DraftCheckpoint):
                self._base.put_in(conn, entry.config, entry.checkpoint, entry.metadata, entry.new_versions)
            else:
                self._base.put_writes_in(conn, entry.config, entry.writes, entry.task_id, entry.task_path)

    def _drafted(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The drafted checkpoint that `config` names, or the last one of its namespace: it is newer than any stored."""
        namespace, wanted = _key(config)
        for entry in reversed(self.entries):
            if not isinstance(entry, DraftCheckpoint):
                continue
            checkpoint_id = entry.checkpoint["id"]
            if _key(entry.config)[0] == namespace and wanted in (None, checkpoint_id):
                parent = _key(entry.config)[1] and entry.config
                return CheckpointTuple(
                    _at(entry.config, checkpoint_id),
                    copy_checkpoint(entry.checkpoint),
                    entry.metadata,
                    parent or None,
                    [],
                )
        return None

    def _with_drafted_writes(self, found: CheckpointTuple) -> list[PendingWrite]:
        """The writes on a checkpoint. As in storage, the first write of a task at an index stays."""
        here = _key(found.config)
        writes = list(found.pending_writes or [])
        for entry in self.entries:
            if isinstance(entry, DraftWrites) and _key(entry.config) == here:
                present = sum(task == entry.task_id and channel not in WRITES_IDX_MAP for task, channel, _ in writes)
                writes += [(entry.task_id, channel, value) for channel, value in entry.writes[present:]]
        return writes


def _extend_back(history: DeltaChannelHistory, older: DeltaChannelHistory) -> None:
    history["writes"] = [*older["writes"], *history["writes"]]
    if "seed" in older:
        history["seed"] = older["seed"]


def _address(config: RunnableConfig) -> RunnableConfig:
    """`config` reduced to the checkpoint it names."""
    configurable = config["configurable"]
    namespace, checkpoint_id = _key(config)
    address = {"thread_id": configurable["thread_id"], "checkpoint_ns": namespace}
    return {"configurable": {**address, "checkpoint_id": checkpoint_id} if checkpoint_id else address}


def _at(config: RunnableConfig, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {**config["configurable"], "checkpoint_id": checkpoint_id}}


def _key(config: RunnableConfig) -> tuple[str, str | None]:
    configurable = config["configurable"]
    return configurable.get("checkpoint_ns", ""), configurable.get("checkpoint_id")
