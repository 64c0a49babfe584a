"""LangGraph's checkpoint saver on the server's database (spec 3.2, 4, 5.8).

`Saver` is the whole of it: each call is a transaction. A run uses a `RunSaver`, which hands its writes over and goes on,
reads what it has written itself, and stops writing when the run's lease is lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from sqlalchemy import Connection

from waystation.storage.checkpoints import maintenance, queries, reading
from waystation.storage.checkpoints.compression import Compression, seal
from waystation.storage.checkpoints.deltas import full_copy, next_tip
from waystation.storage.checkpoints.keys import COUNTER_STEP, is_own_version, pack_id, version_key
from waystation.storage.checkpoints.outbox import Guard, Outbox
from waystation.storage.checkpoints.queries import CheckpointRow, RunRow, ValueRow, WritesRow
from waystation.storage.checkpoints.reading import ReadCheckpoint, Selection
from waystation.storage.checkpoints.records import Record
from waystation.storage.checkpoints.tips import Tips
from waystation.storage.checkpoints.values import Values
from waystation.storage.checkpoints.writes import pack_writes
from waystation.storage.database import Database

__all__ = ["RunSaver", "Saver"]

CACHE_BYTES = 64 * 1024 * 1024
"""Memory for the newest channel values of recently used threads."""

NO_RUN = 0
"""The run key of writes that no run has made."""

RUN_CACHE_BYTES = 32 * 1024 * 1024
"""What a run keeps of them for itself, however busy the others are."""


class _RunKeys:
    """Keys of runs: the time in microseconds and ten random bits. Unique within a thread, which is all they need."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._random = Random()

    def next(self) -> int:
        with self._lock:
            now = (time.time_ns() // 1000) << 10 | self._random.getrandbits(10)
            self._last = max(now, self._last + 1)
            return self._last


class Saver(BaseCheckpointSaver[int]):
    """Checkpoints in `db`. Each write is committed when its call returns. Usable from all threads and event loops."""

    def __init__(self, db: Database, *, serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serde)
        self._db = db
        self._compression = Compression()
        self._tips = Tips(CACHE_BYTES)
        self._run_keys = _RunKeys()
        self._random = Random()
        self._values = Values(self.serde)

    def for_run(self, guard: Guard | None, *, wait: bool = False) -> RunSaver:
        """A saver for one attempt of a run.

        `guard` is called with the connection first in every transaction, and raises if the run may not write any more.
        With `wait`, a put returns when it is committed (durability ``sync``).
        """
        return RunSaver(self, Outbox(self._db, guard), wait=wait)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> BaseCheckpointSaver[int]:
        clone = super().with_allowlist(extra_allowlist)
        if isinstance(clone, Saver) and clone is not self:
            clone._values = Values(clone.serde)
        return clone

    def get_next_version(self, current: Any, channel: None) -> Any:
        """A counter in the upper bits; random lower bits tell apart the values of branches that split at one parent."""
        if isinstance(current, str):
            return f"{int(current.split('.')[0]) + 1:032}.{self._random.random():016}"
        return (int(current or 0) // COUNTER_STEP + 1) * COUNTER_STEP + self._random.getrandbits(31)

    # --- reading

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        await self._settle()
        return self._tuple(await self._db.read(self._read, config))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        self._settle_blocking()
        return self._tuple(self._db.read_blocking(self._read, config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        await self._settle()
        for selection in await self._db.read(_selections, config, filter, before):
            cursor: str | None = ""
            while cursor is not None and (limit is None or limit > 0):
                page, cursor = await self._db.read(self._page, selection, cursor, limit)
                for found in page:
                    yield found.tuple(self._values, self.serde)
                limit = None if limit is None else limit - len(page)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        self._settle_blocking()
        for selection in self._db.read_blocking(_selections, config, filter, before):
            cursor: str | None = ""
            while cursor is not None and (limit is None or limit > 0):
                page, cursor = self._db.read_blocking(self._page, selection, cursor, limit)
                for found in page:
                    yield found.tuple(self._values, self.serde)
                limit = None if limit is None else limit - len(page)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        await self._settle()
        found = await self._db.read(self._read_history, config, channels)
        return {channel: history.load(self._values, self.serde) for channel, history in found.items()}

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        self._settle_blocking()
        found = self._db.read_blocking(self._read_history, config, channels)
        return {channel: history.load(self._values, self.serde) for channel, history in found.items()}

    # --- writing

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        row = self._checkpoint_row(config, checkpoint, metadata, new_versions)
        await self._write(partial(queries.insert_checkpoint, row=row, compression=self._compression))
        return _config(row)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        row = self._checkpoint_row(config, checkpoint, metadata, new_versions)
        self._write_blocking(partial(queries.insert_checkpoint, row=row, compression=self._compression))
        return _config(row)

    def put_in(
        self,
        conn: Connection,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """`put` as part of the caller's transaction."""
        row = self._checkpoint_row(config, checkpoint, metadata, new_versions)
        queries.insert_checkpoint(conn, row, self._compression)
        return _config(row)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        row = self._writes_row(config, writes, task_id, task_path)
        await self._write(partial(queries.insert_writes, row=row))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        row = self._writes_row(config, writes, task_id, task_path)
        self._write_blocking(partial(queries.insert_writes, row=row))

    def put_writes_in(
        self,
        conn: Connection,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """`put_writes` as part of the caller's transaction."""
        queries.insert_writes(conn, self._writes_row(config, writes, task_id, task_path))

    # --- deleting and copying

    async def adelete_thread(self, thread_id: str) -> None:
        await self._write(partial(maintenance.delete_threads, thread_ids=[thread_id]))

    def delete_thread(self, thread_id: str) -> None:
        self._write_blocking(partial(maintenance.delete_threads, thread_ids=[thread_id]))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self._write(partial(maintenance.delete_runs_everywhere, run_ids=run_ids))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self._write_blocking(partial(maintenance.delete_runs_everywhere, run_ids=run_ids))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._write(partial(maintenance.copy_thread, source=source_thread_id, target=target_thread_id))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self._write_blocking(partial(maintenance.copy_thread, source=source_thread_id, target=target_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        await self._write(partial(maintenance.prune, thread_ids=thread_ids, strategy=strategy))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        self._write_blocking(partial(maintenance.prune, thread_ids=thread_ids, strategy=strategy))

    # --- how a run's saver differs

    async def _settle(self) -> None:
        """Wait until reads see everything that was put."""

    def _settle_blocking(self) -> None:
        """`_settle` for code on a plain thread."""

    async def _write(self, write: Any) -> None:
        await self._db.write(write)

    def _write_blocking(self, write: Any) -> None:
        self._db.write_blocking(write)

    def _run(self, thread_id: str, shared: dict[str, Any], run_id: Any) -> tuple[int, RunRow | None]:
        """The key of the run that writes, and its row if that is yet to be inserted."""
        row = self._run_row(*self.serde.dumps_typed(shared), run_id)
        return row.key, row

    # --- rows

    def _run_row(self, type_: str, shared: bytes, run_id: Any) -> RunRow:
        packed = pack_id(run_id) if isinstance(run_id, str) else None
        return RunRow(self._run_keys.next(), packed, seal(type_, shared, self._compression))

    def _checkpoint_row(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> CheckpointRow:
        thread_id, ns, parent_id = _address(config)
        full: Any = get_checkpoint_metadata(config, metadata)
        own = {key: full.pop(key) for key in metadata}
        run_key, run = self._run(thread_id, full, own.get("run_id", full.get("run_id")))
        record = Record.of(checkpoint, own, thread_id, self.serde)
        values = checkpoint["channel_values"]
        return CheckpointRow(
            thread_id=thread_id,
            ns=ns,
            checkpoint_id=checkpoint["id"],
            parent_id=parent_id,
            run_key=run_key,
            run=run,
            data=record.pack(self._compression),
            values=[
                self._value_row((thread_id, ns, channel), version, values[channel])
                for channel, version in new_versions.items()
                if values.get(channel) is not None
            ],
        )

    def _value_row(self, channel: tuple[str, str, str], version: Any, value: Any) -> ValueRow:
        body, key = self._values.dump(value), version_key(version)
        if not is_own_version(version):
            return ValueRow(channel[2], version, key, None, full_copy(body, self._compression), body)
        before = self._tips.newest(channel)
        if before is not None and before.version == key:
            before = None
        base, data, tip = next_tip(key, body, before, self._compression)
        self._tips.keep(channel, tip)
        return ValueRow(channel[2], version, key, base, data, body)

    def _writes_row(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> WritesRow:
        thread_id, ns, checkpoint_id = _address(config)
        shared: Any = get_checkpoint_metadata(config, {})
        run_key, run = self._run(thread_id, shared, shared["run_id"]) if "run_id" in shared else (NO_RUN, None)
        data = pack_writes(writes, task_id, task_path, self.serde, self._compression)
        return WritesRow(thread_id, ns, str(checkpoint_id), run_key, run, len(writes), data)

    # --- reads, on a reader's thread

    def _read(self, conn: Connection, config: RunnableConfig) -> ReadCheckpoint | None:
        return reading.read_checkpoint(conn, *_address(config), self._tips, self._compression)

    def _tuple(self, found: ReadCheckpoint | None) -> CheckpointTuple | None:
        return None if found is None else found.tuple(self._values, self.serde)

    def _page(
        self, conn: Connection, selection: Selection, cursor: str, limit: int | None
    ) -> tuple[Sequence[ReadCheckpoint], str | None]:
        if cursor:
            selection = Selection(selection.thread_id, selection.ns, None, cursor, selection.metadata)
        return reading.read_page(conn, selection, limit, self.serde, self._compression)

    def _read_history(
        self, conn: Connection, config: RunnableConfig, channels: Sequence[str]
    ) -> dict[str, reading.ChannelHistory]:
        return reading.read_delta_history(conn, *_address(config), channels, self._compression)


class RunSaver(Saver):
    """The saver of one attempt of a run (`Saver.for_run`)."""

    def __init__(self, saver: Saver, outbox: Outbox, *, wait: bool) -> None:
        BaseCheckpointSaver.__init__(self, serde=saver.serde)
        self._db = saver._db
        self._compression = saver._compression
        self._tips = Tips(RUN_CACHE_BYTES, saver._tips)
        self._run_keys = saver._run_keys
        self._random = saver._random
        self._values = saver._values
        self._outbox = outbox
        self._wait = wait
        self._known_runs: dict[tuple[str, bytes, Any], int] = {}
        self._run_lock = threading.Lock()

    def post(self) -> None:
        """Queue everything put so far for the writer: what is written to the database after this comes after it."""
        self._outbox.post()

    async def flush(self) -> None:
        """Wait until everything put so far is committed. Raises what the first failed put failed with."""
        await self._outbox.flush()

    async def _settle(self) -> None:
        if self._outbox.pending:
            await self._outbox.flush()

    def _settle_blocking(self) -> None:
        if self._outbox.pending:
            self._outbox.flush_blocking()

    async def _write(self, write: Any) -> None:
        self._outbox.add(write)
        if self._wait:
            await self._outbox.flush()

    def _write_blocking(self, write: Any) -> None:
        self._outbox.add(write)
        if self._wait:
            self._outbox.flush_blocking()

    def _run(self, thread_id: str, shared: dict[str, Any], run_id: Any) -> tuple[int, RunRow | None]:
        type_, packed = self.serde.dumps_typed(shared)
        identity = (thread_id, packed, run_id)
        with self._run_lock:
            key = self._known_runs.get(identity)
            if key is None:
                row = self._run_row(type_, packed, run_id)
                # Posted by itself: whatever refers to it is posted later, or not at all if it cannot be serialized.
                self._outbox.add(partial(queries.insert_run, thread_id=thread_id, run=row))
                key = self._known_runs[identity] = row.key
        return key, None


def _selections(
    conn: Connection,
    config: RunnableConfig | None,
    filter: Mapping[str, Any] | None,
    before: RunnableConfig | None,
) -> Sequence[Selection]:
    """What to list, namespace by namespace."""
    configurable = config["configurable"] if config else {}
    thread_id, ns = configurable.get("thread_id"), configurable.get("checkpoint_ns")
    if thread_id is not None and ns is not None:
        places = [(str(thread_id), ns)]
    else:
        places = queries.list_namespaces(conn, thread_id)
    older_than = before["configurable"].get("checkpoint_id") if before else None
    wanted_id = configurable.get("checkpoint_id")
    return [Selection(*place, wanted_id, older_than, filter or {}) for place in places]


def _address(config: RunnableConfig) -> tuple[str, str, str | None]:
    """Thread id, namespace and checkpoint id, or None for the newest."""
    configurable = config["configurable"]
    return str(configurable["thread_id"]), configurable.get("checkpoint_ns") or "", configurable.get("checkpoint_id")


def _config(row: CheckpointRow) -> RunnableConfig:
    address = {"thread_id": row.thread_id, "checkpoint_ns": row.ns, "checkpoint_id": row.checkpoint_id}
    return {"configurable": address}
