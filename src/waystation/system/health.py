"""Whether the parts this process depends on answer (spec 16)."""

from __future__ import annotations

import asyncio
from typing import Literal

import structlog
from msgspec import Struct
from sqlalchemy import Connection, select

from waystation.storage.database import Database
from waystation.storage.tables import assistants

__all__ = ["PROBE_TIMEOUT_S", "Health", "Readiness", "check_readiness"]

log = structlog.get_logger("waystation.system")

Health = Literal["healthy", "unhealthy"]

PROBE_TIMEOUT_S = 3
"""A part that takes longer to answer is as good as gone: whoever asks has given up by then."""

_PROBE = select(assistants.c.assistant_id).limit(1)


class Readiness(Struct, frozen=True):
    """Whether this process can do its work."""

    services: dict[str, Health]
    problem: str | None = None
    """Why it cannot. A service may be unhealthy without being a problem: without Redis everything goes on, only slower."""


async def check_readiness(db: Database, redis_connected: bool | None) -> Readiness:
    """Ask the database, and look at the connection to Redis if there is to be one."""
    problem = await _probe(db)
    services: dict[str, Health] = {"database": "healthy" if problem is None else "unhealthy"}
    if redis_connected is not None:
        services["redis"] = "healthy" if redis_connected else "unhealthy"
    return Readiness(services, problem)


async def _probe(db: Database) -> str | None:
    """What is wrong with the database. Its own words go to the log only: they may name hosts and users."""
    try:
        await asyncio.wait_for(db.read(_read), PROBE_TIMEOUT_S)
    except TimeoutError:
        log.warning("the database does not answer", within_s=PROBE_TIMEOUT_S)
        return f"The database does not answer within {PROBE_TIMEOUT_S:g} seconds."
    except Exception as error:  # noqa: BLE001 - however it fails, it is not healthy
        log.warning("the database fails", error=str(error) or type(error).__name__)
        return f"The database fails ({type(error).__name__}); the log says more."
    return None


def _read(conn: Connection) -> None:
    """Read from a table: a statement without one would not touch SQLite's file."""
    conn.execute(_PROBE).first()
