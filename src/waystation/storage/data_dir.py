"""The data directory of an embedded database, and the lock that gives it to one process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from waystation.errors import ConfigError

__all__ = ["DATABASE_FILE", "is_in_use", "lock_data_dir"]

DATABASE_FILE = "waystation.db"
LOCK_FILE = "lock"


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


def lock_data_dir(data_dir: Path) -> IO[str]:
    """Take the data directory for this process until the returned file is closed: two servers on one database would both
    execute its runs. Creates the directory. Raises ConfigError when it cannot be written or another process has it."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = open(data_dir / LOCK_FILE, "a+", encoding="utf-8")  # noqa: SIM115 - held as long as the server lives
    except OSError as error:
        raise ConfigError(f"The data directory {data_dir} cannot be written: {error.strerror or error}.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read().strip()
        lock.close()
        raise ConfigError(
            f"The data directory {data_dir} is in use by another server (process {owner or 'unknown'}). "
            "Stop it, or choose another directory with WAYSTATION_DATA_DIR."
        ) from None
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
