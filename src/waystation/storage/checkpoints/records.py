"""What a checkpoint is apart from its channel values: versions, what each node has seen, and metadata.

A record is small, and there are three or more of them in every run, so names and versions are listed once and referred to
by their position. It can be read without the serializer, except for values that only that knows how to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ormsgpack
from langgraph.checkpoint.base import ChannelVersions, Checkpoint
from langgraph.checkpoint.serde.base import SerializerProtocol

from waystation.storage.checkpoints.compression import Compression, seal, unseal
from waystation.timestamps import iso, parse_iso

__all__ = ["ABSENT", "NULL", "STORED", "Record"]

ABSENT, STORED, NULL = 0, 1, 2
"""Whether a channel has a value in the checkpoint: none, one with a row of its own, or None."""

_CHECKPOINT_KEYS = {"v", "ts", "id", "channel_values", "channel_versions", "versions_seen", "updated_channels"}
_COUNTERS = "counters_since_delta_snapshot"


@dataclass(frozen=True, slots=True)
class Record:
    """One checkpoint without its values and without the part of its metadata that is the same all through a run."""

    v: int
    ts: str
    channel_versions: ChannelVersions
    presence: dict[str, int]
    """By channel: `ABSENT`, `STORED` or `NULL`."""
    versions_seen: dict[str, ChannelVersions]
    updated_channels: list[str] | None
    metadata: dict[str, Any]
    """Keys with plain values."""
    has_thread_id: bool
    """The metadata also names the thread: left out here, so that a copy of the thread has its own."""
    rest: tuple[str, bytes] | None
    """Serialized: further keys of the checkpoint, and further metadata."""

    @property
    def delta_channels(self) -> list[str]:
        """`DeltaChannel`s that have to be rebuilt from the writes of earlier checkpoints."""
        return [name for name in self.metadata.get(_COUNTERS) or () if self.presence.get(name, STORED) == ABSENT]

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint,
        metadata: Mapping[str, Any],
        thread_id: str,
        serde: SerializerProtocol,
    ) -> Record:
        """The record of a checkpoint as a saver is given it."""
        values = checkpoint["channel_values"]
        presence = {
            name: (NULL if values[name] is None else STORED) if name in values else ABSENT
            for name in checkpoint["channel_versions"]
        }
        plain = {key: value for key, value in metadata.items() if _is_plain(value)}
        own_thread = plain.get("thread_id") == thread_id
        if own_thread:
            del plain["thread_id"]
        further = {key: value for key, value in metadata.items() if not _is_plain(value)}
        extra = {key: value for key, value in checkpoint.items() if key not in _CHECKPOINT_KEYS}
        return cls(
            v=checkpoint["v"],
            ts=checkpoint["ts"],
            channel_versions=checkpoint["channel_versions"],
            presence=presence,
            versions_seen=checkpoint["versions_seen"],
            updated_channels=checkpoint.get("updated_channels"),
            metadata=plain,
            has_thread_id=own_thread,
            rest=serde.dumps_typed((extra, further)) if extra or further else None,
        )

    def pack(self, compression: Compression) -> bytes:
        names: dict[str, int] = {}
        versions: dict[tuple[type, Any], int] = {}

        def name(text: str) -> int:
            return names.setdefault(text, len(names))

        def version(value: Any) -> int:
            return versions.setdefault((type(value), value), len(versions))

        channels: list[int] = []
        for channel, value in self.channel_versions.items():
            channels += (name(channel), version(value), self.presence[channel])
        seen = []
        for node, node_versions in self.versions_seen.items():
            entry = [name(node)]
            for channel, value in node_versions.items():
                entry += (name(channel), version(value))
            seen.append(entry)
        updated = None if self.updated_channels is None else [name(channel) for channel in self.updated_channels]
        fields = (
            self.v,
            _packed_time(self.ts),
            channels,
            seen,
            updated,
            self.metadata,
            self.has_thread_id,
            self.rest,
            list(names),
            [value for _, value in versions],
        )
        return seal("msgpack", ormsgpack.packb(fields, option=ormsgpack.OPT_REPLACE_SURROGATES), compression)

    @classmethod
    def unpack(cls, data: bytes, compression: Compression) -> Record:
        """The inverse of `pack`. Raises ValueError for a format this version does not know."""
        packed = unseal(data, compression)[1]
        v, ts, channels, seen, updated, metadata, has_thread_id, rest, names, versions = ormsgpack.unpackb(packed)
        triples = list(zip(channels[::3], channels[1::3], channels[2::3], strict=True))
        return cls(
            v=v,
            ts=iso(ts) if isinstance(ts, int) else ts,
            channel_versions={names[channel]: versions[version] for channel, version, _ in triples},
            presence={names[channel]: presence for channel, _, presence in triples},
            versions_seen={
                names[entry[0]]: {
                    names[channel]: versions[version] for channel, version in zip(entry[1::2], entry[2::2], strict=True)
                }
                for entry in seen
            },
            updated_channels=None if updated is None else [names[channel] for channel in updated],
            metadata=metadata,
            has_thread_id=has_thread_id,
            rest=tuple(rest) if rest is not None else None,
        )

    def checkpoint(self, checkpoint_id: str, values: dict[str, Any], serde: SerializerProtocol) -> Checkpoint:
        """The checkpoint with its channel values."""
        whole: Any = {
            "v": self.v,
            "ts": self.ts,
            "id": checkpoint_id,
            "channel_values": values,
            "channel_versions": self.channel_versions,
            "versions_seen": self.versions_seen,
            "updated_channels": self.updated_channels,
        }
        if self.rest is not None:
            whole.update(serde.loads_typed(self.rest)[0])
        return whole  # type: ignore[no-any-return]

    def full_metadata(self, thread_id: str, shared: Mapping[str, Any], serde: SerializerProtocol) -> dict[str, Any]:
        """The metadata, together with the part that is `shared` by the checkpoints of a run."""
        metadata = {**self.metadata, **shared}
        if self.has_thread_id:
            metadata["thread_id"] = thread_id
        if self.rest is not None:
            metadata.update(serde.loads_typed(self.rest)[1])
        return metadata


def _is_plain(value: Any) -> bool:
    """Whether msgpack alone gives back this value; a tuple becomes a list, as it does with LangGraph's serializer."""
    kind = type(value)
    if kind in (str, int, bool, float, type(None)):
        return kind is not int or -(2**63) <= value < 2**64
    if kind is dict:
        return all(type(key) is str and _is_plain(item) for key, item in value.items())
    return kind in (list, tuple) and all(_is_plain(item) for item in value)


def _packed_time(ts: str) -> int | str:
    """`ts` in microseconds, if that gives back the same text."""
    try:
        us = parse_iso(ts)
    except ValueError:
        return ts
    return us if iso(us) == ts else ts
