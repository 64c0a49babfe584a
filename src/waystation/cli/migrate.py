"""`waystation migrate`: the schema, without starting a server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from waystation.cli.serving import configuration

__all__ = ["migrate_database"]


def migrate_database(config_path: Path) -> None:
    """Create or upgrade the tables of the project's database. Raises ConfigError when that cannot be."""
    from waystation.storage.data_dir import DATABASE_FILE, lock_data_dir
    from waystation.storage.schema import HEAD, upgrade
    from waystation.storage.sqlite import SqliteDatabase

    config = configuration(config_path, {})
    with lock_data_dir(config.data_dir):
        db = SqliteDatabase(config.data_dir / DATABASE_FILE)
        try:
            upgrade(db)
        finally:
            asyncio.run(db.close())
    typer.echo(f"{config.data_dir / DATABASE_FILE} has schema {HEAD}.")
