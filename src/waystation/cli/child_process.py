"""A child process that serves, as its supervisor sees it."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Mapping

from waystation.cli.control import GO, Verdict

__all__ = ["ChildProcess"]

LONGEST_VERDICT = 1 << 20
"""Bytes: an error with a deep traceback is far shorter."""


class ChildProcess:
    """A process that runs a module of this package, which says how it is doing (`waystation.cli.control`)."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(
        cls, module: str, *arguments: str, listener: socket.socket | None, environ: Mapping[str, str], apart: bool
    ) -> ChildProcess:
        """Run ``python -m MODULE ARGUMENTS CONTROL [LISTENER]``, where the last two are descriptors. A process `apart` has no
        part in the terminal: it neither reads from it nor gets the signals that it sends to what runs in its foreground."""
        ours, theirs = socket.socketpair()
        descriptors = [theirs.fileno()] if listener is None else [theirs.fileno(), listener.fileno()]
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", module, *arguments, *map(str, descriptors)),
                pass_fds=descriptors,
                env=dict(environ),
                stdin=asyncio.subprocess.DEVNULL if apart else None,
                process_group=0 if apart else None,
            )
        return cls(process, *await asyncio.open_connection(sock=ours, limit=LONGEST_VERDICT))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

    async def verdict(self) -> Verdict:
        """The next thing the process says; that it ended, if it says nothing more."""
        line = await self._reader.readline()
        if line:
            return Verdict.of(line)
        await self._process.wait()
        return Verdict(self.last_words)

    @property
    def last_words(self) -> str:
        """How it ended."""
        code = self._process.returncode
        if code is not None and code < 0:
            return f"The process was ended by signal {-code}."
        return f"The process ended with exit code {code}."

    def go(self) -> None:
        """Let the process serve."""
        self._writer.write(GO)

    async def ended(self) -> None:
        """Wait for the end of the process."""
        await self._process.wait()
        self._writer.close()

    def terminate(self) -> None:
        """Ask the process to stop; asked twice, it stops at once."""
        if self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """End the process by force."""
        if self._process.returncode is None:
            self._process.kill()

    async def stop(self, within_s: float) -> None:
        """Stop the process: gracefully, or after `within_s` by force."""
        self.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), within_s)
        except TimeoutError:
            self.kill()
        await self.ended()
