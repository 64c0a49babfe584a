"""What a process counts while it works. All methods may be called from any thread."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence

__all__ = ["Gauge", "Histogram", "Labels", "Tally", "Timings"]

Labels = tuple[str, ...]


class Tally:
    """How often something happened, by its labels."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Labels, int] = {}

    def add(self, *labels: str) -> None:
        """It happened once more."""
        with self._lock:
            self._counts[labels] = self._counts.get(labels, 0) + 1

    def __iter__(self) -> Iterator[tuple[Labels, int]]:
        with self._lock:
            return iter(list(self._counts.items()))


class Gauge:
    """How much of something there is now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value = 0

    def add(self, amount: int) -> None:
        """There is `amount` more, or less if it is negative."""
        with self._lock:
            self.value += amount


class Histogram:
    """How long something took: the number of cases up to each of `bounds`, which ascend, and above them."""

    __slots__ = ("_bounds", "_buckets", "count", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._buckets = [0] * (len(bounds) + 1)
        self.count = 0
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more case."""
        self._buckets[bisect_left(self._bounds, value)] += 1
        self.count += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus has it: each bound with the number of cases up to it."""
        bounds = [*map(str, self._bounds), "+Inf"]
        sums = 0
        found = []
        for bound, count in zip(bounds, self._buckets, strict=True):
            sums += count
            found.append((bound, float(sums)))
        return found


class Timings:
    """A `Histogram` for each combination of labels."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._lock = threading.Lock()
        self._bounds = bounds
        self._histograms: dict[Labels, Histogram] = {}

    def observe(self, value: float, *labels: str) -> None:
        """One more case."""
        with self._lock:
            histogram = self._histograms.get(labels)
            if histogram is None:
                histogram = self._histograms[labels] = Histogram(self._bounds)
            histogram.observe(value)

    def __iter__(self) -> Iterator[tuple[Labels, Histogram]]:
        with self._lock:
            return iter(list(self._histograms.items()))
