"""PostgreSQL's extension: who cannot have it is told what to do."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.databases import DIALECT, empty_database
from waystation.errors import ConfigError
from waystation.storage.postgres import PostgresDatabase

pytestmark = pytest.mark.skipif(DIALECT != "postgresql", reason="about PostgreSQL")


async def test_a_user_who_may_not_create_it(tmp_path: Path) -> None:
    from waystation.store.semantic.postgres import create_extension

    uri = empty_database(tmp_path)
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS nobody_special")
        connection.execute("CREATE ROLE nobody_special LOGIN PASSWORD 'secret'")
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    theirs = parts._replace(netloc=f"nobody_special:secret@{host}").geturl()
    db = PostgresDatabase(theirs, readers=1)
    try:
        with pytest.raises(ConfigError, match=r"permission denied.*CREATE EXTENSION vector in this database"):
            db.write_blocking(create_extension)
    finally:
        await db.close()
    own = PostgresDatabase(uri, readers=1)
    try:
        own.write_blocking(create_extension)
        own.write_blocking(create_extension)
    finally:
        await own.close()
