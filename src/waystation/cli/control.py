"""What a server process and the supervisor of `waystation dev` say to each other: JSON lines over a socket pair.

The server process speaks first: a `Verdict` once it has loaded the project. The supervisor answers `GO` when the
port is this process's to serve, and gets a second `Verdict` once requests are answered. End of file means that the
other side is gone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["GO", "Verdict"]

GO = b"go\n"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far a server process has come: well, or stopped by an `error`."""

    error: str | None = None
    directories: tuple[str, ...] = ()
    """Where the project's code lives, as far as that is known."""
    graphs: tuple[str, ...] = ()
    data_dir: str = ""
    mount_prefix: str = ""
    """The path that the API is below."""

    def line(self) -> bytes:
        """The wire form."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Verdict:
        """The inverse of `line`."""
        fields = json.loads(line)
        return cls(**{**fields, "directories": tuple(fields["directories"]), "graphs": tuple(fields["graphs"])})

    def roots(self, project_dir: Path) -> frozenset[Path]:
        """The directories to watch for changes, none of which is within another."""
        every = {project_dir, *(Path(directory) for directory in self.directories)}
        return frozenset(path for path in every if not any(parent in every for parent in path.parents))
