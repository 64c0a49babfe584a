"""`waystation migrate`: the schema, without starting a server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from waystation.cli.banner import database_label
from waystation.cli.serving import configuration

__all__ = ["migrate_database"]


def migrate_database(config_path: Path) -> None:
    """Create or upgrade the tables of the project's database. Raises ConfigError when that cannot be."""
    from waystation.databases import open_database
    from waystation.storage.schema import HEAD

    config = configuration(config_path, {})
    db, lock = open_database(config)
    if config.store.index is not None:
        from waystation.store.semantic.opening import prepare_index

        prepare_index(db, config.store.index)
    asyncio.run(db.close())
    if lock is not None:
        lock.close()
    typer.echo(f"The database ({database_label(config)}) has schema {HEAD}.")
