"""How PostgreSQL stores what is written often: the same in a new database and in one that was upgraded."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from tests.databases import empty_database
from waystation.storage.postgres import PostgresDatabase
from waystation.storage.schema import upgrade

STORAGE = """
SELECT attname, attstorage::text, attcompression::text FROM pg_attribute
WHERE attrelid = 'threads'::regclass AND attnum > 0 ORDER BY attname
"""

LZ4 = "SELECT count(*) FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)"


@pytest.mark.parametrize("new", [True, False])
async def test_values_of_threads_are_not_compressed_slowly(tmp_path: Path, new: bool) -> None:
    database = PostgresDatabase(empty_database(tmp_path))
    if not new:
        await database.write(
            lambda conn: conn.execute(text("CREATE TABLE alembic_version (version_num TEXT)")) and None
        )
    upgrade(database)

    def look(conn: Connection) -> tuple[dict[str, tuple[str, str]], bool]:
        stored = {row[0]: (row[1], row[2]) for row in conn.execute(text(STORAGE))}
        return stored, bool(conn.execute(text(LZ4)).scalar_one())

    stored, has_lz4 = await database.read(look)
    await database.close()
    assert stored["values"] == (("x", "l") if has_lz4 else ("e", ""))
    assert {how for name, how in stored.items() if name != "values"} <= {("x", ""), ("p", "")}
