"""The database at start-up: created, upgraded, left alone or refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from waystation.errors import ConfigError
from waystation.storage.schema import HEAD, MIGRATIONS, upgrade
from waystation.storage.sqlite import SqliteDatabase
from waystation.storage.tables import metadata


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "schema.sqlite")
    yield database
    await database.close()


def schema(conn: Connection) -> dict[str, object]:
    """Tables, indexes and triggers. Of tables what they hold: a column that was added later stands after the constraints."""
    rows = conn.execute(text("SELECT type, name, sql FROM sqlite_master WHERE name <> 'alembic_version'")).all()
    found: dict[str, object] = {}
    for type_, name, sql in rows:
        columns = conn.execute(
            text('SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(:t)'), {"t": name}
        )
        keys = conn.execute(
            text('SELECT "table", "from", "to", on_delete FROM pragma_foreign_key_list(:t)'), {"t": name}
        )
        statement = " ".join((sql or "").replace("( ", "(").replace(" )", ")").split())
        rowid = "WITHOUT ROWID" in statement
        found[f"{type_} {name}"] = [*map(tuple, columns), *map(tuple, keys), rowid] if type_ == "table" else statement
    return found


def revision(conn: Connection) -> str | None:
    return conn.execute(text("SELECT version_num FROM alembic_version")).scalar()


async def test_revisions_make_the_same_schema_as_the_tables_in_the_code(db: SqliteDatabase, tmp_path: Path) -> None:
    await db.write(lambda conn: conn.execute(text("CREATE TABLE alembic_version (version_num TEXT)")) and None)
    upgrade(db)
    by_revisions = await db.read(schema)

    other = SqliteDatabase(tmp_path / "created.sqlite")
    await other.write(metadata.create_all)
    by_tables = await other.read(schema)
    await other.close()

    assert set(by_revisions) == set(by_tables) - {"table alembic_version"}
    assert by_revisions == by_tables
    assert await db.read(revision) == HEAD


async def test_new_database_gets_its_tables_and_the_newest_revision(db: SqliteDatabase) -> None:
    upgrade(db)

    assert await db.read(revision) == HEAD
    assert {f"table {name}" for name in metadata.tables} <= set(await db.read(schema))


async def test_what_was_there_before_there_were_workspaces(db: SqliteDatabase) -> None:
    """Revision 0003: everything is in the default workspace, but for the assistants that the server has made."""
    by_the_server, by_a_client = "8d2fdf5d-7331-5702-b419-c34f4de91ad4", "8d2fdf5d-7331-4702-b419-c34f4de91ad4"

    def before(conn: Connection) -> None:
        conn.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = conn
        command.upgrade(config, "0002")
        for assistant_id in (by_the_server, by_a_client):
            conn.execute(
                text(
                    "INSERT INTO assistants VALUES (:id, 'g', 'n', NULL, '{}', '{}', '{\"created_by\": \"system\"}', 1, 1, 1)"
                ).bindparams(id=assistant_id)
            )
        conn.execute(text("INSERT INTO store_items VALUES ('a' || char(9), 'k', '{}', 1, 1, NULL, NULL)"))

    await db.write(before)
    upgrade(db)

    def after(conn: Connection) -> tuple[dict[str, str | None], str]:
        found = {row[0]: row[1] for row in conn.execute(text("SELECT assistant_id, workspace FROM assistants"))}
        return found, conn.execute(text("SELECT namespace FROM store_items")).scalar_one()

    assert await db.read(after) == ({by_the_server: None, by_a_client: "default"}, "default\ta\t")


def test_newest_revision_in_the_code_is_the_last_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_up_to_date_database_is_left_alone(db: SqliteDatabase) -> None:
    upgrade(db)
    before = await db.read(schema)

    upgrade(db)

    assert await db.read(schema) == before


async def test_database_of_a_newer_version_is_refused(db: SqliteDatabase) -> None:
    upgrade(db)
    await db.write(lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '9999'")) and None)

    with pytest.raises(ConfigError, match=r"revision 9999.*a newer one"):
        upgrade(db)

    assert await db.read(revision) == "9999"


async def test_database_with_somebody_elses_tables_is_refused(db: SqliteDatabase) -> None:
    await db.write(lambda conn: conn.execute(text("CREATE TABLE threads (id INTEGER)")) and None)

    with pytest.raises(ConfigError, match="threads"):
        upgrade(db)


async def test_failed_upgrade_leaves_nothing_behind(db: SqliteDatabase) -> None:
    await db.write(lambda conn: conn.execute(text("CREATE TABLE thread_labels (id INTEGER)")) and None)

    with pytest.raises(Exception, match="thread_labels"):
        upgrade(db)

    assert set(await db.read(schema)) == {"table thread_labels"}


def test_start_does_not_load_alembic(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from waystation.storage.schema import upgrade
from waystation.storage.sqlite import SqliteDatabase
for _ in range(2):
    db = SqliteDatabase(Path({str(tmp_path / "start.sqlite")!r}))
    upgrade(db)
    asyncio.run(db.close())
assert not [name for name in sys.modules if name.split('.')[0] == 'alembic']
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
