"""Channel values as a chain of differences, so that a thread's history grows with what was added to it.

Each version of a channel is stored once: in full, or as the difference to an earlier version, its *base*. A difference
keeps the bytes the two have in common at the beginning and at the end and holds what lies between. Appending to a list of
messages therefore stores the new messages only.

To read a version, its path of bases is followed back to a full copy. Three rules bound that path:

* after `STEPS` differences one is made against the last *anchor* instead of the version before, and is the next anchor;
  so a path has at most `STEPS` entries, and one for every `STEPS` versions before;
* when the differences on a path would take twice the space of the full copy it begins with, the next version is one. Full
  copies come further and further apart as a list grows; all of them together take no more space than the differences;
* a value that is small, or unlike the one before, is a full copy.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from waystation.storage.checkpoints.compression import SMALLEST, Compression

__all__ = ["SMALL", "Body", "Tip", "body_of", "full_copy", "next_tip", "read_path"]

STEPS = 64

TINY = 32
"""Bytes of a replaced part that is no help in compressing what takes its place."""

SMALL = 160
"""Bytes of a value below which it is stored in full, and later versions do without it."""

LONGEST_PATH = 2
"""How many times the bytes of its full copy the differences on a path may take."""

LEAST_FULL = 512
"""Full copies smaller than this, in bytes, count as this large: their paths may be a little longer."""

CONTEXT = 512 * 1024
"""Bytes of the base's changed part that are searched for matches."""

_LAYOUT = 0x10
"""Upper half of the first byte: the layout described by `_head`. Lower half: the flags below."""

_COMPRESSED, _DIFFERENCE, _ANCHOR = 1, 2, 4


class Body(Struct, frozen=True):
    """A serialized channel value (`values.py` knows what `kind` and `count` mean)."""

    kind: int
    count: int
    data: bytes


class Tip(Struct, frozen=True):
    """A version that later ones can be stored against, and where it stands in its chain."""

    version: int
    body: Body
    path_size: int
    """Bytes of the differences on its path."""
    full_size: int
    """Bytes of the full copy its path begins with."""
    steps: int
    """Differences since the anchor; 0 for an anchor itself."""
    anchor: Tip | None
    """None for an anchor itself."""

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return len(self.body.data) + (len(self.anchor.body.data) if self.anchor else 0)


def full_copy(body: Body, compression: Compression) -> bytes:
    """`body` as it is stored when it does not depend on another version."""
    packed = compression.compress(body.data) if len(body.data) >= SMALLEST else body.data
    if len(packed) < len(body.data):
        return _head(_COMPRESSED, body) + packed
    return _head(0, body) + body.data


def next_tip(version: int, body: Body, before: Tip | None, compression: Compression) -> tuple[int | None, bytes, Tip]:
    """How to store `body`, the version after `before`: its base, if it is a difference; the bytes; and the new tip."""
    if before is not None:
        anchored = before.steps + 1 >= STEPS
        base = before.anchor or before if anchored else before
        stored = _difference(base.body.data, body, _ANCHOR if anchored else 0, compression)
        path_size, full_size = base.path_size + len(stored), max(base.full_size, LEAST_FULL)
        if 2 * len(stored) <= full_size and path_size <= LONGEST_PATH * full_size:
            anchor, steps = (None, 0) if anchored else (before.anchor or before, before.steps + 1)
            return base.version, stored, Tip(version, body, path_size, base.full_size, steps, anchor)
    stored = full_copy(body, compression)
    return None, stored, Tip(version, body, 0, len(stored), 0, None)


def body_of(stored: bytes, compression: Compression) -> Body:
    """The inverse of `full_copy`."""
    flags, kind, count, at = _read_head(stored)
    return Body(kind, count, compression.decompress(stored[at:]) if flags & _COMPRESSED else stored[at:])


def read_path(path: Sequence[tuple[int, bytes]], compression: Compression, start: Tip | None = None) -> Tip:
    """The tip at the end of `path`: pairs of version and stored bytes that begin with a full copy, or follow `start`.

    Raises ValueError for a format this version does not know.
    """
    if start is None:
        version, stored = path[0]
        start = Tip(version, body_of(stored, compression), 0, len(stored), 0, None)
        path = path[1:]
    last_anchor = max((at for at, (_, stored) in enumerate(path) if stored[0] & _ANCHOR), default=-1)
    tip, anchor = start, start.anchor or start
    buffer = bytearray(start.body.data)
    kind, count, path_size, steps = start.body.kind, start.body.count, start.path_size, start.steps
    for at, (version, stored) in enumerate(path):
        kind, count = _apply(buffer, stored, compression)
        path_size += len(stored)
        steps = 0 if stored[0] & _ANCHOR else steps + 1
        if at == last_anchor:
            anchor = Tip(version, Body(kind, count, bytes(buffer)), path_size, start.full_size, 0, None)
    if path:
        version = path[-1][0]
        if last_anchor == len(path) - 1:
            return anchor
        tip = Tip(version, Body(kind, count, bytes(buffer)), path_size, start.full_size, steps, anchor)
    return tip


def _difference(base: bytes, body: Body, flags: int, compression: Compression) -> bytes:
    data = body.data
    head = _common_head(base, data)
    tail = _common_tail(base, data, head)
    middle = data[head : len(data) - tail]
    context = _context(base, head, tail)
    flags |= _DIFFERENCE
    if len(middle) >= SMALLEST:
        packed = compression.compress_beside(middle, context) if context else compression.compress(middle)
        if len(packed) < len(middle):
            middle, flags = packed, flags | _COMPRESSED
    return _head(flags, body) + _number(head) + _number(tail) + middle


def _apply(buffer: bytearray, stored: bytes, compression: Compression) -> tuple[int, int]:
    """Turn `buffer`, which holds the base, into the value that `stored` differs from it by; returns kind and count."""
    flags, kind, count, at = _read_head(stored)
    head, at = _read_number(stored, at)
    tail, at = _read_number(stored, at)
    middle = stored[at:]
    if flags & _COMPRESSED:
        context = _context(buffer, head, tail)
        middle = compression.decompress_beside(middle, context) if context else compression.decompress(middle)
    buffer[head : len(buffer) - tail] = middle
    return kind, count


def _context(base: bytes | bytearray, head: int, tail: int) -> bytes:
    """What the new middle resembles: the part of the base that it takes the place of. Tiny parts do not help."""
    end = len(base) - tail
    return bytes(base[max(head, end - CONTEXT) : end]) if end - head >= TINY else b""


def _common_head(a: bytes, b: bytes) -> int:
    """How many bytes `a` and `b` have in common at the beginning."""
    if b.startswith(a):
        return len(a)
    same, differs = 0, min(len(a), len(b)) + 1
    while differs - same > 1:
        middle = (same + differs) // 2
        if a.startswith(b[same:middle], same):
            same = middle
        else:
            differs = middle
    return same


def _common_tail(a: bytes, b: bytes, head: int) -> int:
    """How many bytes `a` and `b` have in common at the end, apart from the first `head` bytes of both."""
    same, differs = 0, min(len(a), len(b)) - head + 1
    while differs - same > 1:
        middle = (same + differs) // 2
        if a.endswith(b[len(b) - middle : len(b) - same], head, len(a) - same):
            same = middle
        else:
            differs = middle
    return same


def _head(flags: int, body: Body) -> bytes:
    return bytes((_LAYOUT | flags, body.kind)) + _number(body.count)


def _read_head(stored: bytes) -> tuple[int, int, int, int]:
    """Flags, kind, count, and where the rest begins."""
    if stored[0] & 0xF0 != _LAYOUT:
        raise ValueError(f"a channel value has the unknown format {stored[0]:#x}; a newer version may have written it")
    count, at = _read_number(stored, 2)
    return stored[0] & 0x0F, stored[1], count, at


def _number(value: int) -> bytes:
    """A whole number, seven bits to a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] > 0x7F:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1
