"""What happened during a test, with times: printed when it fails."""

from __future__ import annotations

import time

__all__ = ["Chronicle"]


class Chronicle:
    """Lines with times, and what was found to be wrong."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._wall = time.time()
        self._lines: list[str] = []
        self.violations: list[str] = []
        """What must not happen, however many faults there are."""

    def note(self, text: str) -> None:
        """Something happened."""
        now = time.monotonic() - self._began
        clock = time.strftime("%H:%M:%S", time.gmtime(self._wall + now))
        self._lines.append(f"{now:8.2f} {clock} {text}")

    def blame(self, text: str) -> None:
        """Something happened that must not."""
        self.note(f"WRONG: {text}")
        self.violations.append(text)

    def __str__(self) -> str:
        return "\n".join(self._lines)
