"""Frames that readers of a thread take together."""

from __future__ import annotations

from collections.abc import Sequence

from waystation.protocol.filters import Filter
from waystation.protocol.frames import Frame, sse

__all__ = ["Batch"]


class Batch:
    """Some frames, in order. Whatever is the same for all who take them is found out once."""

    __slots__ = ("_encoded", "frames", "starts_run")

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.starts_run = any(frame.starts_run for frame in frames)
        """Whether a run begins here: who may see the thread may have changed before."""
        self._encoded: dict[Filter, bytes] = {}

    def after(self, seq: int) -> Batch:
        """Those with a number above `seq`."""
        if not self.frames or self.frames[0].seq > seq:
            return self
        return Batch([frame for frame in self.frames if frame.seq > seq])

    def encoded(self, wanted: Filter) -> bytes:
        """Those that `wanted` wants, as server-sent events."""
        found = self._encoded.get(wanted)
        if found is None:
            found = self._encoded[wanted] = sse([frame for frame in self.frames if wanted.wants(frame)])
        return found
