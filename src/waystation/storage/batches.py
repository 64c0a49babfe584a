"""Rows for one transaction that is queued: as long as the writer has not begun with it, more can come along."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

__all__ = ["OpenBatch"]

T = TypeVar("T")


class OpenBatch(Generic[T]):
    """Takes rows until it is closed. Usable from all threads."""

    def __init__(self, rows: Iterable[T] = ()) -> None:
        self._rows = list(rows)
        self._open = True
        self._lock = threading.Lock()

    def add(self, rows: Iterable[T]) -> bool:
        """Whether there was still time for them."""
        with self._lock:
            if self._open:
                self._rows.extend(rows)
            return self._open

    def close(self) -> Sequence[T]:
        """Take no more; all of its rows. It may be called again."""
        with self._lock:
            self._open = False
        return self._rows
