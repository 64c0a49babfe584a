"""Servers that encrypt, and a look at what is in their databases."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from langgraph_sdk.client import LangGraphClient

from tests.conftest import IMPATIENT, connected, served
from tests.databases import DIALECT, database_uri
from tests.webhooks.conftest import QUICK
from waystation.config import EncryptionConfig
from waystation.config.model import GraphSpec

__all__ = ["KEY", "OLD_KEY", "SECRET_KEYS", "encrypting", "everything_stored", "tables_with"]

KEY, OLD_KEY = b"k" * 32, b"o" * 16

SECRET_KEYS = EncryptionConfig(aes_key=KEY, json_keys=("secret",))
"""With a key, and ``secret`` as the JSON key."""

GRAPHS = {name: GraphSpec(name, f"tests.encryption.graphs:{name}") for name in ("noting", "asking", "failing")}


@asynccontextmanager
async def encrypting(
    data_dir: Path, encryption: EncryptionConfig | None, **changes: Any
) -> AsyncIterator[LangGraphClient]:
    """A client of a server that stores its data with `encryption` in `data_dir`."""
    options = {"graphs": GRAPHS, "webhooks": QUICK, "allow_private_urls": True, **changes}
    async with served(data_dir, IMPATIENT, encryption=encryption, **options) as app, connected(app) as http:
        yield LangGraphClient(http)


def everything_stored(data_dir: Path) -> dict[str, bytes]:
    """By table: all bytes of all rows. On SQLite also the files as they are, the write-ahead log among them."""
    if DIALECT == "postgresql":
        return _postgresql(data_dir)
    found = {file.name: file.read_bytes() for file in data_dir.iterdir() if "sqlite" in file.name or "db" in file.name}
    [database] = [data_dir / name for name in found if not name.endswith(("-wal", "-shm"))]
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as conn:
        for (table,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = conn.execute(f'SELECT * FROM "{table}"').fetchall()
            found[table] = b"\n".join(_raw(value) for row in rows for value in row)
    return found


def tables_with(data_dir: Path, text: str) -> set[str]:
    """The tables, and files, that hold `text` in the clear."""
    return {name for name, content in everything_stored(data_dir).items() if text.encode() in content}


def _raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _postgresql(data_dir: Path) -> dict[str, bytes]:
    import psycopg

    found = {}
    with psycopg.connect(database_uri(data_dir)) as conn:
        tables = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            with conn.cursor().copy(f'COPY "{table}" TO STDOUT (FORMAT binary)'.encode()) as rows:
                found[table] = b"".join(bytes(part) for part in rows)
    return found
