"""Pending writes: what the tasks of a superstep have written, one stored row for each call of `put_writes`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import ormsgpack
from langgraph.checkpoint.base import WRITES_IDX_MAP, PendingWrite, writes_sort_key
from langgraph.checkpoint.serde.base import SerializerProtocol
from msgspec import Struct

from waystation.storage.checkpoints.compression import Compression, seal, unseal
from waystation.storage.checkpoints.keys import pack_id, unpack_id

__all__ = ["StoredWrite", "merged_writes", "pack_writes"]


class StoredWrite(Struct, frozen=True):
    """One write, its value not yet deserialized."""

    task_id: str
    channel: str
    value: tuple[str, bytes]

    def load(self, serde: SerializerProtocol) -> PendingWrite:
        return self.task_id, self.channel, serde.loads_typed(self.value)


def pack_writes(
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
    serde: SerializerProtocol,
    compression: Compression,
) -> bytes:
    """The writes of one call. Raises TypeError for a value that cannot be serialized."""
    entries = [
        (WRITES_IDX_MAP.get(channel, index), channel, *serde.dumps_typed(value))
        for index, (channel, value) in enumerate(writes)
    ]
    fields = (pack_id(task_id), task_path, entries)
    return seal("msgpack", ormsgpack.packb(fields, option=ormsgpack.OPT_REPLACE_SURROGATES), compression)


def merged_writes(rows: Iterable[bytes], compression: Compression) -> list[StoredWrite]:
    """The writes on one checkpoint, in the order in which the superstep applies them.

    `rows` are in the order in which they were stored. A task's first write at an index stays, since a call may be
    repeated; of special writes (errors, interrupts, resume values) the last one counts.
    """
    merged: dict[tuple[str, int], tuple[tuple[str, str, int], StoredWrite]] = {}
    for row in rows:
        packed_id, task_path, entries = ormsgpack.unpackb(unseal(row, compression)[1])
        task_id = unpack_id(packed_id)
        for index, channel, type_, data in entries:
            if index < 0 or (task_id, index) not in merged:
                order = writes_sort_key(task_path, task_id, index)
                merged[task_id, index] = order, StoredWrite(task_id, channel, (type_, data))
    return [write for _, write in sorted(merged.values(), key=lambda entry: entry[0])]
