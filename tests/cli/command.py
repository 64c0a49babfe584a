"""The `waystation` command in a process of its own, as a person runs it in a terminal."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from tests.processes import clean_environ

__all__ = ["Command", "run", "write_project"]

PATIENCE_S = 60
"""How long to wait for something that takes a second or two on an idle machine."""

COMMAND = (sys.executable, "-m", "waystation")

ECHO = """
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    answer: str

def respond(state: State) -> State:
    return {"answer": "ANSWER"}

graph = StateGraph(State).add_node(respond).add_edge(START, "respond").compile()
"""


def write_project(directory: Path, answer: str = "one") -> Path:
    """A project whose graph `echo` answers with `answer`; returns its configuration file."""
    directory.mkdir(exist_ok=True)
    write_graph(directory, answer)
    config = directory / "langgraph.json"
    config.write_text('{"dependencies": ["."], "graphs": {"echo": "./echo.py:graph"}}')
    return config


def write_graph(directory: Path, answer: str) -> None:
    (directory / "echo.py").write_text(ECHO.replace("ANSWER", answer))


def run(*arguments: str, cwd: Path, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `waystation ARGUMENTS` to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=_environ(environ), capture_output=True, text=True, timeout=PATIENCE_S
    )


class Command:
    """A `waystation` command that stays, with what it prints."""

    def __init__(self, *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=cwd, env=_environ(environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._printed = ""
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        """Where the server is, once it says so."""
        return self.wait_for(r"Serving +(\S+)")

    def wait_for(self, pattern: str, times: int = 1) -> str:
        """Wait until what was printed has `pattern` so many `times`; the last match, or its group."""

        def matches() -> list[str]:
            return re.findall(pattern, self._printed)

        until = time.monotonic() + PATIENCE_S
        with self._news:
            while len(matches()) < times:
                assert not self._ended, f"ended without {pattern!r}:\n{self._printed}"
                assert self._news.wait(until - time.monotonic()), f"no {pattern!r} in:\n{self._printed}"
            return matches()[times - 1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        return self._process.wait(PATIENCE_S)

    def close(self) -> None:
        """Leave nothing behind."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._printed += line.decode()
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


def _environ(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**clean_environ(), "COLUMNS": "300", **(extra or {})}
