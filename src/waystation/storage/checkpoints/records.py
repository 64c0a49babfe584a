"""What a checkpoint is apart from its channel values: versions, what each node has seen, and metadata.

A record is small, and there are three or more of them in every run, so names and versions are listed once and referred to
by their position. It can be read without the serializer, except for values that only that knows how to read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ormsgpack
from langgraph.checkpoint.base import ChannelVersions, Checkpoint
from langgraph.checkpoint.serde.base import SerializerProtocol
from msgspec import Struct

from waystation.storage.checkpoints.compression import Compression, seal, unseal
from waystation.storage.checkpoints.keys import version_key
from waystation.timestamps import iso, parse_iso

__all__ = ["ABSENT", "NULL", "STORED", "Record", "pack_record", "used_versions"]

ABSENT, STORED, NULL = 0, 1, 2
"""Whether a channel has a value in the checkpoint: none, one with a row of its own, or None."""

_CHECKPOINT_KEYS = {"v", "ts", "id", "channel_values", "channel_versions", "versions_seen", "updated_channels"}
_COUNTERS = "counters_since_delta_snapshot"
_MISSING: Any = object()


class Record(Struct):
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
    def unpack(cls, data: bytes, compression: Compression) -> Record:
        """The inverse of `pack_record`. Raises ValueError for a format this version does not know."""
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


def pack_record(
    checkpoint: Checkpoint,
    metadata: Mapping[str, Any],
    thread_id: str,
    serde: SerializerProtocol,
    compression: Compression,
) -> bytes:
    """The record of a checkpoint as a saver is given it. Raises TypeError for metadata that cannot be serialized."""
    names: dict[str, int] = {}
    versions: dict[Any, int] = {}
    channels = _pack_channels(checkpoint, names, versions)
    seen = []
    for node, node_versions in checkpoint["versions_seen"].items():
        entry = [names.setdefault(node, len(names))]
        for channel, version in node_versions.items():
            entry.append(names.setdefault(channel, len(names)))
            entry.append(versions.setdefault(version if type(version) is int else _identity(version), len(versions)))
        seen.append(entry)
    updated = checkpoint.get("updated_channels")
    plain, further, has_thread_id = _split(metadata, thread_id)
    extra = {key: value for key, value in checkpoint.items() if key not in _CHECKPOINT_KEYS}
    fields = (
        checkpoint["v"],
        _pack_time(checkpoint["ts"]),
        channels,
        seen,
        None if updated is None else [names.setdefault(channel, len(names)) for channel in updated],
        plain,
        has_thread_id,
        serde.dumps_typed((extra, further)) if extra or further else None,
        list(names),
        [version[1] if type(version) is tuple else version for version in versions],
    )
    return seal("msgpack", ormsgpack.packb(fields, option=ormsgpack.OPT_REPLACE_SURROGATES), compression)


def used_versions(records: Iterable[Record], base_of: Callable[[str, int], int | None]) -> dict[str, set[int]]:
    """By channel: the versions (`version_key`) that one of the `records`, all of one namespace, cannot be read without: its own,
    and those that they are stored as differences from. `base_of` tells that of a channel's version; None for a full copy."""
    used: dict[str, set[int]] = {}
    for record in records:
        for channel, presence in record.presence.items():
            version: int | None = version_key(record.channel_versions[channel]) if presence == STORED else None
            of_channel = used.setdefault(channel, set())
            while version is not None and version not in of_channel:
                of_channel.add(version)
                version = base_of(channel, version)
    return used


def _pack_channels(checkpoint: Checkpoint, names: dict[str, int], versions: dict[Any, int]) -> list[int]:
    """Name, version and presence of each channel, one after the other."""
    values, packed = checkpoint["channel_values"], []
    for channel, version in checkpoint["channel_versions"].items():
        value = values.get(channel, _MISSING)
        packed.append(names.setdefault(channel, len(names)))
        packed.append(versions.setdefault(version if type(version) is int else _identity(version), len(versions)))
        packed.append(ABSENT if value is _MISSING else NULL if value is None else STORED)
    return packed


def _identity(version: Any) -> Any:
    """Of a version that is no integer. Equal for the same version only: 1 and 1.0 are equal numbers, but not the same version."""
    return type(version), version


def _split(metadata: Mapping[str, Any], thread_id: str) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """Plain metadata, that for the serializer, and whether it names the thread."""
    plain, further, has_thread_id = {}, {}, False
    for key, value in metadata.items():
        if key == "thread_id" and value == thread_id:
            has_thread_id = True
        elif type(value) is str or _is_plain(value):
            plain[key] = value
        else:
            further[key] = value
    return plain, further, has_thread_id


def _is_plain(value: Any) -> bool:
    """Whether msgpack alone gives back this value; a tuple becomes a list, as it does with LangGraph's serializer."""
    kind = type(value)
    if kind is str or kind is bool or kind is float or value is None:
        return True
    if kind is int:
        return bool(-(2**63) <= value < 2**64)
    if kind is dict:
        return all(type(key) is str and _is_plain(item) for key, item in value.items())
    return kind in (list, tuple) and all(_is_plain(item) for item in value)


def _pack_time(ts: str) -> int | str:
    """`ts` in microseconds, if it has the form that `iso` gives back."""
    if len(ts) == 32 and ts[19] == "." and ts.endswith("+00:00"):
        try:
            return parse_iso(ts)
        except ValueError:
            return ts
    return ts
