"""Whether the parts this process depends on answer (spec 16)."""

from __future__ import annotations

import asyncio
from typing import Literal

import structlog
from sqlalchemy import Connection, select

from waystation.errors import Unavailable
from waystation.storage.database import Database
from waystation.storage.tables import assistants

__all__ = ["PROBE_TIMEOUT_S", "Health", "check_services"]

log = structlog.get_logger("waystation.system")

Health = Literal["healthy", "unhealthy"]

PROBE_TIMEOUT_S = 3
"""A part that takes longer to answer is as good as gone: whoever asks has given up by then."""

_PROBE = select(assistants.c.assistant_id).limit(1)


async def check_services(db: Database) -> dict[str, Health]:
    """The health of each service by name. Raises Unavailable when one is there but has too much to do."""
    return {"database": await _database(db)}


async def _database(db: Database) -> Health:
    try:
        await asyncio.wait_for(db.read(_probe), PROBE_TIMEOUT_S)
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 - however it fails, it is not healthy
        log.warning("the database does not answer", error=str(error) or type(error).__name__)
        return "unhealthy"
    return "healthy"


def _probe(conn: Connection) -> None:
    """Read from a table: a statement without one would not touch SQLite's file."""
    conn.execute(_PROBE).first()
