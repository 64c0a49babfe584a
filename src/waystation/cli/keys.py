"""`waystation keys`: making, listing and revoking API keys, also while a server is running."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from waystation.cli.serving import configuration
from waystation.errors import BadInput

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from waystation.auth.key_queries import StoredKey
    from waystation.storage.database import Database

__all__ = ["keys"]

T = TypeVar("T")

ConfigFile = Annotated[Path, typer.Option("--config", help="The project's configuration file.")]
DEFAULT_CONFIG = Path("langgraph.json")

keys = typer.Typer(help="Make, list and revoke API keys, which WAYSTATION_AUTH=api-key asks for.", no_args_is_help=True)


@keys.command()
def create(
    workspace: Annotated[str, typer.Option("--workspace", help="The workspace that the key leads to.")],
    user: Annotated[str | None, typer.Option("--user", help="The user whose key it is.")] = None,
    service: Annotated[bool, typer.Option("--service", help="The key of a service: it belongs to no user.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Make a key and print it, as the last line. It cannot be shown again."""
    from waystation.auth import key_queries
    from waystation.auth.keys import KeyOwner, new_key
    from waystation.timestamps import now_us

    if user is None and not service:
        raise BadInput("Whose key is it? Give --user, or --service for a key that belongs to no user.")
    if user is not None and service:
        typer.echo("A service key belongs to no user; --user is left out.", err=True)
    owner = KeyOwner.of(workspace, None if service else user)
    key = new_key()
    _write(config, lambda conn: key_queries.create(conn, key, owner, now_us()))
    typer.echo(
        f"A key for {owner.user_id or 'a service'} in {workspace}: {key.key_id}. Keep it; it is not shown again.",
        err=True,
    )
    typer.echo(key.text)


@keys.command("list")
def show(
    workspace: Annotated[str | None, typer.Option("--workspace", help="Only the keys of this workspace.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """List the keys by what they begin with; nothing of a key's secret is kept."""
    from waystation.auth import key_queries

    with _database(config) as db:
        found = db.read_blocking(key_queries.list_keys, workspace)
    rows = [_row(key) for key in found]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif not rows:
        typer.echo("There are no keys.")
    else:
        _print_table(rows)


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(help="What the key begins with, as `keys list` shows it.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Make a key worthless, within a second in every process."""
    from waystation.auth import key_queries
    from waystation.auth.keys import key_id_of
    from waystation.timestamps import now_us

    key_id = key_id_of(key) or key
    if not _write(config, lambda conn: key_queries.revoke(conn, key_id, now_us())):
        raise BadInput(f"There is no key {key_id} that could be revoked.")
    typer.echo(f"Revoked {key_id}.", err=True)


def _write(config: Path, change: Callable[[Connection], T]) -> T:
    with _database(config) as db:
        return db.write_blocking(change)


@contextmanager
def _database(config: Path) -> Iterator[Database]:
    """The project's database. Raises ConfigError."""
    from waystation.databases import open_beside

    db, lock = open_beside(configuration(config, {}))
    try:
        yield db
    finally:
        asyncio.run(db.close())
        if lock is not None:
            lock.close()


def _row(key: StoredKey) -> dict[str, str | None]:
    from waystation.timestamps import iso

    return {
        "key": key.key_id,
        "workspace": key.workspace,
        "user": key.user_id,
        "created_at": iso(key.created_at),
        "last_used_at": None if key.last_used_at is None else iso(key.last_used_at),
        "revoked_at": None if key.revoked_at is None else iso(key.revoked_at),
    }


def _print_table(rows: Sequence[dict[str, str | None]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("key", "workspace", "user", "created", "last used", "revoked", box=None)
    for row in rows:
        cells = dict(row)
        cells["user"] = row["user"] or "(service)"
        table.add_row(*(_short(name, value) for name, value in cells.items()))
    console = Console()
    console.print(table, soft_wrap=not console.is_terminal)


def _short(name: str, value: str | None) -> str:
    """A cell; of a time no more than the second."""
    return (value or "")[:19] if name.endswith("_at") else value or ""
