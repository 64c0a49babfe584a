"""Opening the database of a server that may be running."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import IO

import pytest

from tests.conftest import project_config
from waystation import databases
from waystation.databases import open_beside, open_database
from waystation.errors import ConfigError
from waystation.storage.data_dir import is_in_use
from waystation.storage.database import Database

pytestmark = pytest.mark.sqlite


async def close(server: Database, lock: IO[str] | None) -> None:
    """The end of a server, which has the lock of its directory."""
    await server.close()
    assert lock is not None
    lock.close()


async def test_server_that_begins_while_a_command_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = project_config(tmp_path)
    server, lock = open_database(config)
    looks: list[bool] = []

    def too_early(data_dir: Path) -> bool:
        looks.append(is_in_use(data_dir))
        return looks[-1] and len(looks) > 1

    monkeypatch.setattr(databases, "is_in_use", too_early)
    beside, none = open_beside(config)
    assert (none, looks) == (None, [True, True])
    await beside.close()
    await close(server, lock)


async def test_server_waits_for_a_command_that_has_the_directory(tmp_path: Path) -> None:
    config = project_config(tmp_path)
    command, held = open_beside(config)
    assert held is not None
    opening = asyncio.create_task(asyncio.to_thread(open_database, config))
    await asyncio.sleep(0.5)
    assert not opening.done()
    await command.close()
    held.close()
    server, lock = await opening
    await close(server, lock)


async def test_second_server_is_refused(tmp_path: Path) -> None:
    config = project_config(tmp_path)
    server, lock = open_database(config)
    with pytest.raises(ConfigError, match=rf"in use by another server \(process {os.getpid()}\)"):
        open_database(config)
    await close(server, lock)


def test_directory_that_cannot_be_used_is_no_server(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        open_beside(project_config(tmp_path / "file"))
