"""The key of a server on a developer's machine: made when it is first needed, and kept beside the database."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from waystation.errors import ConfigError

__all__ = ["KEY_FILE", "kept_key"]

KEY_FILE = "secret.key"
"""Its name in the data directory."""


def kept_key(path: Path) -> str:
    """The key in the file `path`, which only the owner of the file can read. Made if there is none; of several processes that make one at
    the same time, all get the same. Raises ConfigError when it can be neither read nor written."""
    try:
        if not path.exists():
            _make(path)
        key = path.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"The key that encrypts credentials, {path}, cannot be used: {error}.") from None
    if not key:
        raise ConfigError(f"The key that encrypts credentials, {path}, is empty: restore it, or delete the file.")
    return key


def _make(path: Path) -> None:
    """The file appears with its contents or not at all, whenever the process is killed; one that has appeared meanwhile stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
