"""LangGraph's checkpoint saver on the server's database (spec 3.2, 4, 5.8).

`Saver` is the whole of it: each call is a transaction. A run uses a `RunSaver`, which hands its writes over and goes on,
reads what it has written itself, and stops writing when the run's lease is lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

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
from waystation.storage.checkpoints.deltas import SMALL, full_copy, next_tip
from waystation.storage.checkpoints.keys import COUNTER_STEP, is_own_version, pack_id, version_key
from waystation.storage.checkpoints.latest_row import LatestRow
from waystation.storage.checkpoints.outbox import Guard, Outbox
from waystation.storage.checkpoints.queries import CheckpointRow, Row, RunRow, ValueRow, WritesRow
from waystation.storage.checkpoints.reading import ReadCheckpoint, Selection
from waystation.storage.checkpoints.records import pack_record
from waystation.storage.checkpoints.signed import Signed
from waystation.storage.checkpoints.tips import Tips
from waystation.storage.checkpoints.values import Values
from waystation.storage.checkpoints.writes import pack_writes
from waystation.storage.database import Database

__all__ = ["RunSaver", "Saver"]

T = TypeVar("T")

CACHE_BYTES = 64 * 1024 * 1024
"""Memory for the newest channel values of recently used threads, unless it is chosen."""

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

    def __init__(
        self, db: Database, *, serde: SerializerProtocol | None = None, cache_bytes: int = CACHE_BYTES
    ) -> None:
        """`cache_bytes` of channel values of recently used threads are kept in memory."""
        super().__init__(serde=serde)
        self._db = db
        self._compression = Compression()
        self._tips = Tips(cache_bytes)
        self._run_keys = _RunKeys()
        self._random = Random()
        self._values = Values(self.serde)

    def for_run(self, guard: Guard | None, *, wait: bool = False, blank: str | None = None) -> RunSaver:
        """A saver for one attempt of a run.

        `guard` is called first in every transaction (`waystation.storage.checkpoints.outbox.Guard`).
        With `wait`, a put returns when it is committed (durability ``sync``).
        `blank` is the id of a thread of which it is known that it has no checkpoints: they are not looked for.
        """
        return RunSaver(self, Outbox(self._db, guard, self._insert), wait=wait, blank=blank)

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
        return self._tuple(await self._db.lookup(self._read, config))

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
        await self._write(self._checkpoint_rows(config, checkpoint, metadata, new_versions))
        return _at(config, checkpoint["id"])

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        self._write_blocking(self._checkpoint_rows(config, checkpoint, metadata, new_versions))
        return _at(config, checkpoint["id"])

    def put_in(
        self,
        conn: Connection,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """`put` as part of the caller's transaction."""
        self._insert(conn, self._checkpoint_rows(config, checkpoint, metadata, new_versions))
        return _at(config, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._write(self._writes_rows(config, writes, task_id, task_path))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._write_blocking(self._writes_rows(config, writes, task_id, task_path))

    def put_writes_in(
        self,
        conn: Connection,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """`put_writes` as part of the caller's transaction."""
        self._insert(conn, self._writes_rows(config, writes, task_id, task_path))

    # --- deleting and copying

    async def adelete_thread(self, thread_id: str) -> None:
        await self._change(maintenance.delete_threads, thread_ids=[thread_id])

    def delete_thread(self, thread_id: str) -> None:
        self._change_blocking(maintenance.delete_threads, thread_ids=[thread_id])

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        await self._change(maintenance.delete_runs_everywhere, run_ids=run_ids)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        self._change_blocking(maintenance.delete_runs_everywhere, run_ids=run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        await self._change(maintenance.copy_thread, source=source_thread_id, target=target_thread_id)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        self._change_blocking(maintenance.copy_thread, source=source_thread_id, target=target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        await self._change(maintenance.prune, thread_ids=thread_ids, strategy=strategy)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        self._change_blocking(maintenance.prune, thread_ids=thread_ids, strategy=strategy)

    async def _change(self, change: Callable[..., None], **arguments: Any) -> None:
        await self._settle()
        await self._db.write(change, **arguments)

    def _change_blocking(self, change: Callable[..., None], **arguments: Any) -> None:
        self._settle_blocking()
        self._db.write_blocking(change, **arguments)

    # --- how a run's saver differs

    async def _settle(self) -> None:
        """Wait until reads see everything that was put."""

    def _settle_blocking(self) -> None:
        """`_settle` for code on a plain thread."""

    async def _write(self, rows: Sequence[Row]) -> None:
        await self._db.write(self._insert, rows)

    def _write_blocking(self, rows: Sequence[Row]) -> None:
        self._db.write_blocking(self._insert, rows)

    def _run_rows(
        self, thread_id: str, config: RunnableConfig, metadata: CheckpointMetadata | None
    ) -> tuple[int, Sequence[Row], dict[str, Any]]:
        """The key of the run that writes, its row unless that is on its way already, and of a checkpoint's `metadata` what is its
        own: what comes from the config is the same for all that the run writes. None is that of writes."""
        own, shared = _metadata(config, metadata or {})
        if metadata is None and "run_id" not in shared:
            return NO_RUN, [], own
        row = self._row_of(thread_id, config, own, shared)
        return row.key, [row], own

    def _row_of(self, thread_id: str, config: RunnableConfig, own: dict[str, Any], shared: dict[str, Any]) -> RunRow:
        """The row of the run whose config says `shared`."""
        return self._run_row(thread_id, *self.serde.dumps_typed(shared), _run_id(own, shared))

    # --- rows

    def _insert(self, conn: Connection, rows: Sequence[Row]) -> None:
        queries.insert_rows(conn, rows, self._compression)

    def _run_row(self, thread_id: str, type_: str, shared: bytes, run_id: Any) -> RunRow:
        packed = pack_id(run_id) if isinstance(run_id, str) else None
        return RunRow(thread_id, self._run_keys.next(), packed, seal(type_, shared, self._compression))

    def _checkpoint_rows(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Sequence[Row]:
        thread_id, ns, parent_id = _address(config)
        run_key, rows, own = self._run_rows(thread_id, config, metadata)
        record = pack_record(checkpoint, own, thread_id, self.serde, self._compression)
        values = checkpoint["channel_values"]
        value_rows = [
            self._value_row((thread_id, ns, channel), version, value)
            for channel, version in new_versions.items()
            if (value := values.get(channel)) is not None
        ]
        return [*rows, CheckpointRow(thread_id, ns, checkpoint["id"], parent_id, run_key, record, value_rows)]

    def _value_row(self, channel: tuple[str, str, str], version: Any, value: Any) -> ValueRow:
        body, key = self._values.dump(value), version_key(version)
        if len(body.data) < SMALL or not is_own_version(version):
            return ValueRow(channel[2], version, key, None, full_copy(body, self._compression), body)
        before = self._tips.newest(channel)
        if before is not None and before.version == key:
            before = None
        base, data, tip = next_tip(key, body, before, self._compression)
        self._tips.keep(channel, tip)
        return ValueRow(channel[2], version, key, base, data, body)

    def _writes_rows(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> Sequence[Row]:
        thread_id, ns, checkpoint_id = _address(config)
        run_key, rows, _ = self._run_rows(thread_id, config, None)
        data = pack_writes(writes, task_id, task_path, self.serde, self._compression)
        return [*rows, WritesRow(thread_id, ns, str(checkpoint_id), run_key, len(writes), data)]

    # --- reads, on whichever thread the database chooses

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

    def __init__(self, saver: Saver, outbox: Outbox, *, wait: bool, blank: str | None) -> None:
        self.serde = saver.serde  # as BaseCheckpointSaver.__init__ would, which would wrap it anew for every run
        self._db = saver._db
        self._compression = saver._compression
        self._tips = Tips(RUN_CACHE_BYTES, saver._tips)
        self._run_keys = saver._run_keys
        self._random = saver._random
        self._values = saver._values
        self._outbox = outbox
        self._wait = wait
        self._blank = blank
        """The thread without checkpoints, until something is put."""
        self._runs: dict[tuple[Any, ...], RunRow] = {}
        self._latest: LatestRow | None = None
        self._stored_runs: set[int] = set()
        """Keys of the runs whose rows are on their way."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return None if self._nothing_at(config) else await super().aget_tuple(config)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return None if self._nothing_at(config) else super().get_tuple(config)

    def _nothing_at(self, config: RunnableConfig) -> bool:
        return self._blank is not None and config["configurable"]["thread_id"] == self._blank

    def post(self) -> None:
        """Queue everything put so far for the writer: what is written to the database after this comes after it."""
        self._outbox.post()

    async def flush(self) -> None:
        """Wait until everything put so far is committed. Raises what the first failed put failed with."""
        await self._outbox.flush()

    async def finish(self, begin: Callable[[Connection], Callable[[], T]]) -> T:
        """Commit everything put so far together with the last write of the run, or nothing of it: `begin` asks what that has to
        know, the lease included, and what it returns does it. Raises what an earlier put failed with. Nothing can be put
        afterwards."""
        return await self._outbox.finish(begin)

    async def _settle(self) -> None:
        if self._outbox.pending:
            await self._outbox.flush()

    def _settle_blocking(self) -> None:
        if self._outbox.pending:
            self._outbox.flush_blocking()

    async def _write(self, rows: Sequence[Row]) -> None:
        self._add(rows)
        if self._wait:
            await self._outbox.flush()

    def _write_blocking(self, rows: Sequence[Row]) -> None:
        self._add(rows)
        if self._wait:
            self._outbox.flush_blocking()

    def _add(self, rows: Sequence[Row]) -> None:
        self._blank = None
        self._outbox.add(rows)
        for row in rows:
            if type(row) is RunRow:
                self._stored_runs.add(row.key)

    def _run_rows(
        self, thread_id: str, config: RunnableConfig, metadata: CheckpointMetadata | None
    ) -> tuple[int, Sequence[Row], dict[str, Any]]:
        latest = self._latest
        if latest is not None and latest.fits(thread_id, config, metadata or {}):
            found: tuple[int, Sequence[Row], dict[str, Any]] = (
                latest.row.key,
                [latest.row],
                _without_nul(metadata or {}),
            )
        else:
            found = super()._run_rows(thread_id, config, metadata)
        key, rows, own = found
        return key, [] if key in self._stored_runs else rows, own

    def _row_of(self, thread_id: str, config: RunnableConfig, own: dict[str, Any], shared: dict[str, Any]) -> RunRow:
        # All values are strings, numbers or booleans (`get_checkpoint_metadata`); 1 and True are equal, but not the same.
        identity = (thread_id, *shared.items(), *map(type, shared.values()), _run_id(own, shared))
        row = self._runs.get(identity)
        if row is None:
            row = self._runs[identity] = super()._row_of(thread_id, config, own, shared)
        self._latest = LatestRow.of(thread_id, config, own, shared, row)
        return row


for _name in ("put_writes", "aput_writes"):
    setattr(Saver, _name, Signed(getattr(Saver, _name)))


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
        places = queries.list_namespaces(conn, None if thread_id is None else str(thread_id))
    older_than = before["configurable"].get("checkpoint_id") if before else None
    wanted_id = configurable.get("checkpoint_id")
    return [Selection(*place, wanted_id, older_than, filter or {}) for place in places]


def _metadata(config: RunnableConfig, metadata: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A checkpoint's own metadata, and what the config adds to it."""
    shared: Any = get_checkpoint_metadata(config, metadata)  # type: ignore[arg-type]
    own = {key: shared.pop(key) for key in metadata}
    return own, shared


def _run_id(own: Mapping[str, Any], shared: Mapping[str, Any]) -> Any:
    return own.get("run_id", shared.get("run_id"))


def _without_nul(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.replace("\0", "") if isinstance(value, str) else value for key, value in metadata.items()}


def _address(config: RunnableConfig) -> tuple[str, str, str | None]:
    """Thread id, namespace and checkpoint id, or None for the newest."""
    configurable = config["configurable"]
    return str(configurable["thread_id"]), configurable.get("checkpoint_ns") or "", configurable.get("checkpoint_id")


def _at(config: RunnableConfig, checkpoint_id: str) -> RunnableConfig:
    thread_id, ns, _ = _address(config)
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}}
