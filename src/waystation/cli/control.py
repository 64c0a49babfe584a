"""What a server process and its supervisor say to each other: JSON lines over a socket pair.

Under `waystation dev` the server process speaks first: a `Verdict` once it has loaded the project. The supervisor answers
`GO` when the port is this process's to serve, and gets a second `Verdict` once requests are answered. Under `waystation
serve --workers` there is one `Verdict` only, once the process does its work. End of file means that the other side is gone.
"""

from __future__ import annotations

import json
import traceback
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from waystation.errors import WaystationError

__all__ = ["GO", "Verdict"]

GO = b"go\n"


class Verdict(Struct, frozen=True):
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

    @classmethod
    def of_error(cls, error: Exception, directories: tuple[str, ...] = ()) -> Verdict:
        """What `error` tells a person: our own say what is wrong, others need their traceback."""
        if isinstance(error, WaystationError):
            return cls(error.message, directories)
        return cls("".join(traceback.format_exception(error)), directories)

    def roots(self, project_dir: Path) -> frozenset[Path]:
        """The directories to watch for changes, none of which is within another."""
        every = {project_dir, *(Path(directory) for directory in self.directories)}
        return frozenset(path for path in every if not any(parent in every for parent in path.parents))
