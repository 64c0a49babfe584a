"""The newest versions of channels in memory, so that an active conversation is neither read nor decompressed again."""

from __future__ import annotations

import threading
from collections import OrderedDict

from waystation.storage.checkpoints.deltas import SMALL, Tip
from waystation.storage.checkpoints.keys import is_own_version

__all__ = ["Tips"]

Channel = tuple[str, str, str]
"""Thread id, checkpoint namespace, channel name."""


class Tips:
    """At most `limit` bytes of tips, one for each channel; the longest unused are dropped first.

    A tip is immutable bytes: runs may share it. It may be one that never reached the database, or is no longer there, so
    whoever stores a difference to it checks that. Versions of this server are never used twice, so a tip that has the
    wanted version is right; other versions are not remembered.
    """

    def __init__(self, limit: int, beyond: Tips | None = None) -> None:
        self._limit = limit
        self._beyond = beyond
        self._tips: OrderedDict[Channel, Tip] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def newest(self, channel: Channel) -> Tip | None:
        """The version of the channel that was used last."""
        with self._lock:
            tip = self._tips.get(channel)
            if tip is not None:
                self._tips.move_to_end(channel)
                return tip
        return self._beyond.newest(channel) if self._beyond else None

    def keep(self, channel: Channel, tip: Tip) -> None:
        """Remember it, if that saves more than it costs."""
        if len(tip.body.data) < SMALL or not is_own_version(tip.version):
            return
        if self._beyond:
            self._beyond.keep(channel, tip)
        with self._lock:
            former = self._tips.pop(channel, None)
            self._tips[channel] = tip
            self._size += tip.size - (former.size if former else 0)
            while self._size > self._limit and len(self._tips) > 1:
                _, dropped = self._tips.popitem(last=False)
                self._size -= dropped.size
