"""Bringing a database's tables up to what this version of the code expects.

Alembic's revisions are in `migrations/`. A start with an up-to-date or a new database does not load Alembic, which would
take longer than everything else: a new database gets its tables straight from `tables.py`, and tests check that this
is what the revisions make.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from waystation.errors import ConfigError
from waystation.storage.database import Database
from waystation.storage.tables import metadata

__all__ = ["HEAD", "lock_schema", "require_current", "upgrade"]

HEAD = "0010"
"""The newest revision in `migrations/versions`."""

MIGRATIONS = Path(__file__).parent / "migrations"

LOCK = "SELECT pg_advisory_xact_lock(1473795924)"
"""Lets one process at a time look at the tables of a PostgreSQL database and change them."""


def upgrade(db: Database) -> None:
    """Create or change the tables as far as needed, in one transaction.

    For start-up and `waystation migrate`, on a plain thread. Raises ConfigError for a database that a newer version of
    Waystation has changed, or that is not Waystation's.
    """
    db.write_blocking(upgrade_connection)


def upgrade_connection(conn: Connection) -> None:
    """`upgrade` as part of the caller's transaction."""
    if conn.dialect.name == "postgresql":
        lock_schema(conn)
    tables = set(inspect(conn).get_table_names())
    if "alembic_version" not in tables:
        if common := sorted(tables & metadata.tables.keys()):
            raise ConfigError(f"the database has tables that Waystation did not create: {', '.join(common)}")
        metadata.create_all(conn)
        conn.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        conn.execute(text("INSERT INTO alembic_version (version_num) VALUES (:head)"), {"head": HEAD})
        return
    version = conn.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if version != HEAD:
        _migrate(conn, version)


def lock_schema(conn: Connection) -> None:
    """Keep other processes from changing the tables of a PostgreSQL database until this transaction ends."""
    conn.execute(text(LOCK))


def require_current(conn: Connection) -> None:
    """Raise ConfigError unless the database has the schema of this version."""
    version = conn.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if version != HEAD:
        raise ConfigError(
            f"the database is at schema revision {version}, this version of Waystation needs {HEAD}, and a server is using it: "
            "stop that first."
        )


def _migrate(conn: Connection, version: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise ConfigError(
            f"the database is at schema revision {version}, which this version of Waystation does not know: a newer one "
            "has upgraded it. Update Waystation, or use another database."
        )
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
