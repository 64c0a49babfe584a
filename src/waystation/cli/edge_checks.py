"""What `waystation doctor` looks at where the server meets the world: who may call it, what it calls, and where traces go."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from waystation.cli.checks import Finding
from waystation.errors import WaystationError

if TYPE_CHECKING:
    from waystation.config import Config

__all__ = ["check_authentication", "check_encryption", "check_store", "check_traces", "check_webhooks"]

TIMEOUT_S = 5

VALID_KEYS = "SELECT count(*) FROM api_keys WHERE revoked_at IS NULL"


def check_authentication(config: Config) -> Iterator[Finding]:
    """Whether somebody is let in, and whether everybody is."""
    if config.auth is not None:
        yield _custom_authentication(config, config.auth.path)
    elif config.api_keys:
        keys = _valid_keys(config)
        advice = "Make one: waystation keys create"
        if keys == 0:
            yield Finding("Authentication", "warn", "API keys are asked for, and there are none", advice)
        else:
            yield Finding("Authentication", "ok", "API keys" if keys is None else f"API keys; {keys} are valid")
    else:
        yield Finding("Authentication", "ok", "none: the server listens on this machine only, unless told --no-auth")


def _custom_authentication(config: Config, path: str) -> Finding:
    from waystation.auth.project import custom_authentication
    from waystation.graphs.modules import Modules

    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = custom_authentication(config, Modules(config.project_dir, config.dependencies))
    except WaystationError as error:
        return Finding(
            "Authentication", "fail", error.message, "Correct the code; the server does not start without it."
        )
    assert found is not None
    if found.anonymous:
        advice = "Decorate a function with @auth.authenticate."
        return Finding("Authentication", "warn", f"{path} authenticates nobody: every caller is anonymous", advice)
    if uncovered := found.uncovered:
        advice = "Say what is allowed, or refuse the rest with a handler for everything: @auth.on"
        message = f"{path} has no handler for {', '.join(uncovered)}: every user may do that, with everybody's data"
        return Finding("Authentication", "warn", message, advice)
    return Finding("Authentication", "ok", path)


def _valid_keys(config: Config) -> int | None:
    """How many keys would be let in; None if the database does not say, which other checks tell of."""
    if config.database_uri is not None:
        return _ask_postgres(config.database_uri)
    from waystation.storage.data_dir import DATABASE_FILE

    file = config.data_dir / DATABASE_FILE
    if not file.exists():
        return 0
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute(VALID_KEYS).fetchone()[0])
    except sqlite3.Error:
        return None


def _ask_postgres(uri: str) -> int | None:
    import psycopg

    try:
        with psycopg.connect(uri, connect_timeout=TIMEOUT_S) as connection:
            row = connection.execute(VALID_KEYS).fetchone()
            return None if row is None else int(row[0])
    except (psycopg.Error, ValueError):
        return None


def check_encryption(config: Config) -> Iterator[Finding]:
    """Whether what is stored will be encrypted, if that is asked for."""
    if config.encryption is None:
        return
    from waystation.encryption import encryption_of
    from waystation.graphs.modules import Modules

    try:
        with contextlib.redirect_stdout(sys.stderr):
            seals = encryption_of(config, Modules(config.project_dir, config.dependencies))
    except WaystationError as error:
        yield Finding("Encryption", "fail", error.message, "The server does not start without it.")
        return
    assert seals is not None
    seals.close()
    how = config.encryption.path or "AES"
    yield Finding(
        "Encryption", "ok", f"{how}; keep the keys as safe as the backups: neither is of use without the other"
    )


def check_store(config: Config) -> Iterator[Finding]:
    """Whether the embedder of the store's index can be used. It is not asked to embed anything, which may cost money."""
    if config.store.index is None:
        return
    from waystation.graphs.modules import Modules
    from waystation.store.semantic.project import load_embedder

    try:
        with contextlib.redirect_stdout(sys.stderr):
            load_embedder(config.store.index, Modules(config.project_dir, config.dependencies))
    except WaystationError as error:
        yield Finding("Store", "fail", error.message)
        return
    if config.database_uri is None and find_spec("numpy") is None:
        yield Finding("Store", "fail", "search by meaning needs numpy", "pip install 'waystation[semantic]'")
        return
    yield Finding("Store", "ok", f"searched by meaning with {config.store.index.embed}")


def check_webhooks(config: Config) -> Iterator[Finding]:
    """Whether receivers can know who calls, and where calls may lead."""
    if config.http.disable_webhooks:
        return
    if config.allow_private_urls:
        advice = "Unset it where users are not trusted: their webhooks could reach what only this machine can."
        yield Finding("Webhooks", "warn", "WAYSTATION_ALLOW_PRIVATE_URLS lets them lead into private networks", advice)
    elif config.webhooks.secrets:
        yield Finding("Webhooks", "ok", "signed")
    else:
        yield Finding("Webhooks", "ok", "not signed; WAYSTATION_WEBHOOK_SECRET would let receivers check who calls")


def check_traces(config: Config) -> Iterator[Finding]:
    """Whether traces that are asked for can be made, and their collector is reached."""
    from waystation.observability.tracing import exporters

    try:
        names = exporters(config)
    except WaystationError as error:
        yield Finding("Traces", "fail", error.message)
        return
    if not names:
        return
    if "otlp" not in names or config.trace_endpoint is None:
        yield Finding("Traces", "ok", ", ".join(names))
        return
    place = urlsplit(config.trace_endpoint)
    where = f"{place.hostname}:{place.port or (443 if place.scheme == 'https' else 80)}"
    try:
        socket.create_connection((place.hostname or "", int(where.rpartition(":")[2])), TIMEOUT_S).close()
    except OSError as error:
        advice = "Check OTEL_EXPORTER_OTLP_ENDPOINT and that the collector runs. Runs do not depend on it."
        yield Finding("Traces", "warn", f"{where} is not reached: {error.strerror or error}", advice)
    else:
        yield Finding("Traces", "ok", f"{', '.join(names)} at {where}")
