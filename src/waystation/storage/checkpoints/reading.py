"""Checkpoints as they are stored, put together again: with writes and channel values, but not yet as Python objects.

These functions run on a reader's thread; what they return is deserialized by whoever asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple, DeltaChannelHistory
from langgraph.checkpoint.serde.base import SerializerProtocol
from msgspec import Struct, field
from sqlalchemy import Connection

from waystation.storage.checkpoints import queries
from waystation.storage.checkpoints.compression import Compression, unseal
from waystation.storage.checkpoints.deltas import Body, Tip
from waystation.storage.checkpoints.keys import version_key
from waystation.storage.checkpoints.queries import StoredCheckpoint
from waystation.storage.checkpoints.records import NULL, STORED, Record
from waystation.storage.checkpoints.tips import Tips
from waystation.storage.checkpoints.values import Values
from waystation.storage.checkpoints.writes import StoredWrite, merged_writes

__all__ = ["ChannelHistory", "ReadCheckpoint", "Selection", "read_checkpoint", "read_delta_history", "read_page"]

PAGE = 16
"""Checkpoints of a list that are read in one go: each may hold a whole conversation."""

SEARCHED = 200
"""Checkpoints that are looked at in one go for those that match a filter."""


class ReadCheckpoint(Struct, frozen=True):
    """All there is of a checkpoint."""

    thread_id: str
    ns: str
    checkpoint_id: str
    parent_id: str | None
    record: Record
    shared: tuple[str, bytes]
    bodies: dict[str, Body | None]
    """By channel: its value, None meaning None."""
    writes: list[StoredWrite]

    def tuple(self, values: Values, serde: SerializerProtocol) -> CheckpointTuple:
        """As LangGraph wants it, in objects of its own."""
        loaded = {name: None if body is None else values.load(body) for name, body in self.bodies.items()}
        metadata: Any = self.record.full_metadata(self.thread_id, serde.loads_typed(self.shared), serde)
        return CheckpointTuple(
            config=self._config(self.checkpoint_id),
            checkpoint=self.record.checkpoint(self.checkpoint_id, loaded, serde),
            metadata=metadata,
            parent_config=self._config(self.parent_id) if self.parent_id else None,
            pending_writes=[write.load(serde) for write in self.writes],
        )

    def _config(self, checkpoint_id: str) -> Any:
        address = {"thread_id": self.thread_id, "checkpoint_ns": self.ns, "checkpoint_id": checkpoint_id}
        return {"configurable": address}


class Selection(Struct, frozen=True):
    """Which checkpoints of a thread and namespace a list holds."""

    thread_id: str
    ns: str
    checkpoint_id: str | None
    before: str | None
    metadata: Mapping[str, Any]


class ChannelHistory(Struct):
    """The counterpart of `DeltaChannelHistory`; `writes` are oldest first."""

    writes: list[StoredWrite] = field(default_factory=list)
    seeded: bool = False
    seed: Body | None = None

    def load(self, values: Values, serde: SerializerProtocol) -> DeltaChannelHistory:
        history: DeltaChannelHistory = {"writes": [write.load(serde) for write in self.writes]}
        if self.seeded:
            history["seed"] = None if self.seed is None else values.load(self.seed)
        return history


def read_checkpoint(
    conn: Connection, thread_id: str, ns: str, checkpoint_id: str | None, tips: Tips, compression: Compression
) -> ReadCheckpoint | None:
    """The checkpoint with this id, or the newest of the namespace."""
    stored = queries.find_checkpoint(conn, thread_id, ns, checkpoint_id)
    if stored is None:
        return None
    record = Record.unpack(stored.data, compression)
    bodies: dict[str, Body | None] = {}
    for channel, presence in record.presence.items():
        if presence == NULL:
            bodies[channel] = None
        elif presence == STORED:
            address, version = (thread_id, ns, channel), version_key(record.channel_versions[channel])
            known = tips.newest(address)
            near = {} if known is None else {(channel, known.version): known}
            tip = queries.read_tip(conn, stored, channel, version, near, compression)
            if tip is not None:
                tips.keep(address, tip)
                bodies[channel] = tip.body
    return _complete(conn, stored, record, bodies, compression)


def read_page(
    conn: Connection, selection: Selection, limit: int | None, serde: SerializerProtocol, compression: Compression
) -> tuple[list[ReadCheckpoint], str | None]:
    """The first checkpoints of a selection, newest first, and the id to go on before; None when there are no more."""
    chosen, cursor = _choose(conn, selection, min(limit or PAGE, PAGE), serde, compression)
    near: dict[tuple[str, int], Tip] = {}
    page = []
    for stored, record in reversed(chosen):
        bodies: dict[str, Body | None] = {}
        for channel, presence in record.presence.items():
            if presence == NULL:
                bodies[channel] = None
            elif presence == STORED:
                version = version_key(record.channel_versions[channel])
                tip = queries.read_tip(conn, stored, channel, version, near, compression)
                if tip is not None:
                    near[channel, version] = tip
                    bodies[channel] = tip.body
        page.append(_complete(conn, stored, record, bodies, compression))
    return page[::-1], cursor


def read_delta_history(
    conn: Connection,
    thread_id: str,
    ns: str,
    checkpoint_id: str | None,
    channels: Sequence[str],
    compression: Compression,
) -> dict[str, ChannelHistory]:
    """What the checkpoints before this one on its branch contributed to some channels.

    Each channel's walk ends at the nearest ancestor that holds a value of it. That value is the one before the writes on
    the same ancestor, so these are part of the history.
    """
    found = {channel: ChannelHistory() for channel in channels}
    open_channels = set(channels)
    current = queries.find_checkpoint(conn, thread_id, ns, checkpoint_id)
    while open_channels and current is not None and (current := queries.parent_of(conn, current)) is not None:
        record = Record.unpack(current.data, compression)
        for write in reversed(merged_writes(queries.read_writes(conn, current), compression)):
            if write.channel in open_channels:
                found[write.channel].writes.append(write)
        for channel in list(open_channels):
            presence = record.presence.get(channel)
            if presence == STORED:
                version = version_key(record.channel_versions[channel])
                tip = queries.read_tip(conn, current, channel, version, {}, compression)
                if tip is None:
                    continue
                found[channel].seed = tip.body
            elif presence != NULL:
                continue
            found[channel].seeded = True
            open_channels.discard(channel)
    for history in found.values():
        history.writes.reverse()
    return found


def _choose(
    conn: Connection, selection: Selection, limit: int, serde: SerializerProtocol, compression: Compression
) -> tuple[list[tuple[StoredCheckpoint, Record]], str | None]:
    """At most `limit` checkpoints that match, from those looked at in one go."""
    if selection.checkpoint_id is not None:
        stored = queries.find_checkpoint(conn, selection.thread_id, selection.ns, selection.checkpoint_id)
        rows = [stored] if stored and (selection.before is None or stored.checkpoint_id < selection.before) else []
        more = False
    else:
        looked_at = SEARCHED if selection.metadata else limit
        rows = queries.list_checkpoints(conn, selection.thread_id, selection.ns, selection.before, looked_at)
        more = len(rows) == looked_at
    chosen = []
    for stored in rows:
        record = Record.unpack(stored.data, compression)
        if _matches(stored, record, selection.metadata, serde, compression):
            chosen.append((stored, record))
            if len(chosen) == limit:
                return chosen, stored.checkpoint_id if more or stored is not rows[-1] else None
    return chosen, rows[-1].checkpoint_id if more else None


def _matches(
    stored: StoredCheckpoint,
    record: Record,
    wanted: Mapping[str, Any],
    serde: SerializerProtocol,
    compression: Compression,
) -> bool:
    if not wanted:
        return True
    shared = serde.loads_typed(unseal(stored.shared, compression))
    metadata = record.full_metadata(stored.thread_id, shared, serde)
    return all(metadata.get(key) == value for key, value in wanted.items())


def _complete(
    conn: Connection,
    stored: StoredCheckpoint,
    record: Record,
    bodies: dict[str, Body | None],
    compression: Compression,
) -> ReadCheckpoint:
    return ReadCheckpoint(
        stored.thread_id,
        stored.ns,
        stored.checkpoint_id,
        stored.parent_id,
        record,
        unseal(stored.shared, compression),
        bodies,
        merged_writes(queries.read_writes(conn, stored), compression),
    )
