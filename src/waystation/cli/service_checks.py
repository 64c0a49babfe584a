"""What `waystation doctor` asks of PostgreSQL and Redis. Nothing is changed there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from waystation.cli.checks import Finding, judge_schema

if TYPE_CHECKING:
    from waystation.config import Config

__all__ = ["check_postgres", "check_redis"]

TIMEOUT_S = 5
"""A server that does not answer sooner will not do for a request either."""

OLDEST_POSTGRES, NEWEST_POSTGRES = 15, 18
"""Major versions that Waystation is tested with."""

OLDEST_REDIS = (6, 2)
"""Streams are trimmed and read as the bus does it from this version on."""


def check_postgres(config: Config, uri: str) -> Iterator[Finding]:
    """Whether the database answers, is of a version and a schema that this version knows, and has pgvector."""
    try:
        import psycopg
    except ImportError:
        yield Finding("PostgreSQL", "fail", "the driver is missing", "pip install 'waystation[postgres]'")
        return
    try:
        with psycopg.connect(uri, connect_timeout=TIMEOUT_S, autocommit=True) as connection:
            yield from _examine_postgres(connection, config)
    except (psycopg.Error, ValueError) as error:
        advice = "Check DATABASE_URI, that the server runs, and that it lets this machine and user in."
        yield Finding("PostgreSQL", "fail", f"{_place(uri)}: {_first_line(error)}", advice)


def _examine_postgres(connection: Any, config: Config) -> Iterator[Finding]:
    def ask(query: str) -> Any:
        row = connection.execute(query).fetchone()
        return None if row is None else row[0]

    version, major = ask("SHOW server_version"), int(ask("SHOW server_version_num")) // 10_000
    name = f"version {version} at {connection.info.host}, database {connection.info.dbname}"
    if major < OLDEST_POSTGRES:
        advice = f"Upgrade it: Waystation needs {OLDEST_POSTGRES} to {NEWEST_POSTGRES}."
        yield Finding("PostgreSQL", "fail", f"{name} is too old", advice)
        return
    if major > NEWEST_POSTGRES:
        advice = f"Waystation has been tested with {OLDEST_POSTGRES} to {NEWEST_POSTGRES}."
        yield Finding("PostgreSQL", "warn", f"{name} is newer than any tested", advice)
    else:
        yield Finding("PostgreSQL", "ok", name)
    yield from _examine_connections(ask, config)
    if ask("SELECT to_regclass('alembic_version')") is not None:
        yield judge_schema("the database", ask("SELECT version_num FROM alembic_version"))
    elif ask("SELECT has_schema_privilege(current_schema(), 'CREATE')"):
        yield Finding("Schema", "ok", "the tables will be created")
    else:
        advice = "GRANT CREATE ON SCHEMA public, or run `waystation migrate` as a user who may."
        yield Finding("Schema", "fail", "there are no tables, and this user may not create them", advice)
    if ask("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"):
        yield Finding("pgvector", "ok", "available")
    else:
        advice = "Nothing to do unless you want it: install the extension on the database server."
        yield Finding("pgvector", "warn", "not available: no semantic search", advice)


def _examine_connections(ask: Any, config: Config) -> Iterator[Finding]:
    most, used = int(ask("SHOW max_connections")), int(ask("SELECT count(*) FROM pg_stat_activity"))
    left = max(0, most - used) // config.postgres_pool_size
    message = f"{used} of {most} are in use; a process of Waystation takes up to {config.postgres_pool_size}"
    if left == 0:
        advice = "Raise max_connections, or lower LANGGRAPH_POSTGRES_POOL_MAX_SIZE."
        yield Finding("Connections", "warn", message, advice)
    else:
        yield Finding("Connections", "ok", message)


def check_redis(uri: str) -> Iterator[Finding]:
    """Whether Redis or Valkey answers, in a version that has what the bus needs."""
    try:
        import redis
    except ImportError:
        yield Finding("Redis", "fail", "the client is missing", "pip install 'waystation[redis]'")
        return
    try:
        with redis.Redis.from_url(uri, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S) as client:
            info: Any = client.info("server")
    except (redis.RedisError, ValueError) as error:
        advice = "Check REDIS_URI and that the server runs. Meanwhile runs go on, but no live event reaches a client elsewhere."
        yield Finding("Redis", "fail", f"{_place(uri)}: {_first_line(error)}", advice)
        return
    product = "Valkey" if "valkey_version" in info else "Redis"
    shown, compatible = str(info.get("valkey_version", info["redis_version"])), str(info["redis_version"])
    name = f"{product} {shown} at {_place(uri)}"
    if info.get("redis_mode") == "cluster":
        yield Finding("Redis", "fail", f"{name} is a cluster", "Use a single server, with replicas if you like.")
    elif tuple(int(part) for part in compatible.split(".")[:2]) < OLDEST_REDIS:
        advice = f"Upgrade it: the bus needs {'.'.join(map(str, OLDEST_REDIS))} or newer, or any Valkey."
        yield Finding("Redis", "fail", f"{name} is too old", advice)
    else:
        yield Finding("Redis", "ok", name)


def _place(uri: str) -> str:
    """Where `uri` points to, without credentials."""
    parts = urlsplit(uri)
    return (parts.netloc.rpartition("@")[2] + parts.path) or "this machine"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
