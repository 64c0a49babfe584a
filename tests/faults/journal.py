"""What the graphs of the faults project did, whatever the database says."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Journal", "assert_repeated_only"]


class Journal:
    """Lines ``<thread id> <mark>``, in order."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def of(self, thread_id: str) -> list[str]:
        """The marks of one thread."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [mark for thread, _, mark in (line.partition(" ") for line in lines) if thread == thread_id]

    def begun(self, thread_id: str) -> list[str]:
        """The steps that began, in order; one that began twice is in it twice."""
        return [mark.removesuffix(":begin") for mark in self.of(thread_id) if mark.endswith(":begin")]


def assert_repeated_only(steps: list[str], begun: list[str], allowed: int) -> None:
    """Each of `steps` began once, but for the last `allowed` of those that had begun when the server was killed."""
    resumed_at = next((number for number in range(1, len(begun)) if begun[number] in begun[:number]), len(begun))
    assert begun[:resumed_at] == steps[:resumed_at], begun
    repeated = resumed_at - steps.index(begun[resumed_at]) if resumed_at < len(begun) else 0
    assert repeated <= allowed, begun
    assert begun[resumed_at:] == steps[resumed_at - repeated :], begun
