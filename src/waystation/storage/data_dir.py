"""The data directory of an embedded database, and the lock that gives it to one process."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from waystation.errors import ConfigError

__all__ = ["DATABASE_FILE", "is_in_use", "lock_data_dir"]

DATABASE_FILE = "waystation.db"
LOCK_FILE = "lock"

BRIEFLY = " briefly"
"""What the lock file says, behind the number of the process, of one that has the directory for a moment only."""

PATIENCE_S, MOMENT_S, PAUSE_S = 5, 0.2, 0.02
"""How long such a process is waited for, or one that has not said yet who it is; how long any other, which may only look whether the
directory is in use; and the pause between tries."""


def is_in_use(data_dir: Path) -> bool:
    """Whether a process has the data directory right now."""
    try:
        with open(data_dir / LOCK_FILE, encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def lock_data_dir(data_dir: Path, *, briefly: bool = False) -> IO[str]:
    """Take the data directory for this process until the returned file is closed: two servers on one database would both
    execute its runs. Who takes it `briefly`, for a command, is waited for. Creates the directory. Raises ConfigError when it cannot
    be written or another process has it."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = open(data_dir / LOCK_FILE, "a+", encoding="utf-8")  # noqa: SIM115 - held as long as the server lives
    except OSError as error:
        raise ConfigError(f"The data directory {data_dir} cannot be written: {error.strerror or error}.") from None
    began = time.monotonic()
    while not _taken(lock):
        lock.seek(0)
        owner = lock.read().strip()
        if time.monotonic() - began < (PATIENCE_S if not owner or owner.endswith(BRIEFLY) else MOMENT_S):
            time.sleep(PAUSE_S)
            continue
        lock.close()
        raise ConfigError(
            f"The data directory {data_dir} is in use by another server (process {owner or 'unknown'}). "
            "Stop it, or choose another directory with WAYSTATION_DATA_DIR."
        )
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()}{BRIEFLY if briefly else ''}")
    lock.flush()
    return lock


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
