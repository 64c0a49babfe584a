"""Fixtures for tests of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.command import Command, write_project

Start = Callable[..., Command]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The directory of a project whose graph `echo` answers "one"."""
    return write_project(tmp_path / "project").parent


@pytest.fixture
def start(project: Path) -> Iterator[Start]:
    """Starts commands that stay; all are gone in the end."""
    started: list[Command] = []

    def begin(*arguments: str, cwd: Path = project, environ: Mapping[str, str] | None = None) -> Command:
        started.append(Command(*arguments, cwd=cwd, environ=environ))
        return started[-1]

    yield begin
    for command in started:
        command.close()
