"""A gate in a graph: a node arrives at it, tells so, and waits until the test opens it (see `project/engine_graphs.py`)."""

from __future__ import annotations

from pathlib import Path

from tests.driver import eventually

__all__ = ["Gate"]


class Gate:
    """One gate. `state` is the graph input that names it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.state = {"gate": str(path)}

    def open(self) -> None:
        """Let everything that waits go on."""
        self._path.touch()

    async def reached(self, how: str = "reached") -> None:
        """Wait until a node has arrived."""
        mark = self._mark(how)

        async def look() -> bool:
            return mark.exists()

        await eventually(look, f"a node reporting {how!r}")

    def was_reached(self, how: str = "reached") -> bool:
        return self._mark(how).exists()

    @property
    def visits(self) -> int:
        """How often a counting node was executed."""
        file = self._mark("count")
        return len(file.read_text().splitlines()) if file.exists() else 0

    def _mark(self, how: str) -> Path:
        return Path(f"{self._path}.{how}")
