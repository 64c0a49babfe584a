"""One process of a fleet: started, killed, stopped and continued."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.processes import clean_environ

__all__ = ["Member"]

READY = "is ready"
"""What a process prints once it is at work."""


class Member:
    """`waystation ARGUMENTS`, with a log that all its processes add to."""

    def __init__(self, name: str, arguments: Sequence[str], directory: Path, environ: Mapping[str, str]) -> None:
        self.name = name
        self.log_file = directory / f"{name.replace(' ', '-')}.log"
        self.frozen = False
        self._command = [sys.executable, "-m", "waystation", *arguments]
        self._environ = {**clean_environ(), **environ}
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._log_began = 0

    @property
    def launched(self) -> bool:
        """Whether it was started, and not killed since."""
        return self._process is not None

    @property
    def log(self) -> str:
        """What all its processes have printed."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def ready(self) -> bool:
        """Whether its present process is, or was, at work."""
        return READY in self.log[self._log_began :]

    def exit_code(self) -> int | None:
        """How its process ended by itself; None while it has not."""
        return self._process.poll() if self._process is not None else None

    def launch(self) -> None:
        """Start a process."""
        assert self._process is None, f"{self.name} runs already"
        self._log_began = len(self.log)
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, cwd=self._directory, stdout=output, stderr=output, env=self._environ
            )

    def kill(self) -> None:
        """End the process as a power cut would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.frozen = False

    def freeze(self) -> None:
        """Stop the process in whatever it is doing (SIGSTOP)."""
        assert self._process is not None, f"{self.name} does not run"
        self._process.send_signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """Let it go on as if no time had passed (SIGCONT)."""
        if self._process is not None and self.frozen:
            self._process.send_signal(signal.SIGCONT)
        self.frozen = False
