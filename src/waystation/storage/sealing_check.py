"""A look at the newest of what is stored, when a server starts: is it encrypted, and can this server read it?"""

from __future__ import annotations

import structlog
from sqlalchemy import Connection

from waystation.errors import ConfigError, SealBroken
from waystation.storage.driver import Sql
from waystation.storage.seal_marks import AES_TOKEN, BLOB_MARKS, CUSTOM_KEY
from waystation.storage.sealing import CHECKPOINT, Seals

__all__ = ["check"]

log = structlog.get_logger("waystation.encryption")

_NEWEST_BLOBS = (
    Sql("SELECT metadata FROM checkpoint_runs ORDER BY thread_key DESC, run_key DESC LIMIT 1"),
    Sql("SELECT data FROM checkpoint_writes ORDER BY id DESC LIMIT 1"),
)
_NEWEST_JSON = (
    Sql("SELECT CAST(kwargs AS TEXT) FROM runs ORDER BY run_id DESC LIMIT 1"),
    Sql("SELECT CAST(config AS TEXT) FROM threads ORDER BY created_at DESC LIMIT 1"),
    Sql("SELECT CAST(settings AS TEXT) FROM deep_agents ORDER BY updated_at DESC LIMIT 1"),
)


def check(conn: Connection, seals: Seals | None) -> None:
    """Raise ConfigError if data is encrypted and `seals` is None: new data would be stored in the clear beside it, and clients
    shown what is encrypted. A key that is missing beside others is only told of: what it has encrypted is lost, the rest is not."""
    blobs = [row[0] for statement in _NEWEST_BLOBS if (row := statement.row(conn))]
    if seals is None:
        texts = [row[0] for statement in _NEWEST_JSON if (row := statement.row(conn))]
        if any(blob[0] in BLOB_MARKS for blob in blobs) or any(
            AES_TOKEN in text or CUSTOM_KEY in text for text in texts
        ):
            raise ConfigError(
                "The data in this database is encrypted, and no encryption is configured. Give LANGGRAPH_AES_KEY or "
                "encryption.path as before; to encrypt no further, give the key as WAYSTATION_AES_OLD_KEYS."
            )
        return
    try:
        seals.open_blobs(CHECKPOINT, blobs)
    except SealBroken as error:
        log.warning("some of what is stored cannot be decrypted", error=error.message)
