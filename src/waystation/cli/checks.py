"""What `waystation doctor` looks at. Each check yields findings; none changes anything but a temporary file."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from waystation.cli.listening import Listener
from waystation.errors import ConfigError, WaystationError

if TYPE_CHECKING:
    from waystation.config import Config

__all__ = [
    "Finding",
    "check_clock",
    "check_custom_app",
    "check_data_dir",
    "check_database",
    "check_graphs",
    "check_packages",
    "check_port",
    "check_python",
    "check_settings",
    "judge_schema",
]

OLDEST_PYTHON = (3, 11)
LITTLE_DISK = 1 << 30
"""Bytes free below which a busy server may fill the disk within days."""

NO_DISK = 64 << 20
"""Bytes free below which writes are about to fail: the database folds its log back only with room for it."""

CLOCK_SKEW_S = 5
"""Seconds between the clocks of this machine and of its disk that no rounding explains."""

RELEASED = 1_735_689_600
"""1 January 2025 in seconds since the epoch: this software is younger than that."""


class Finding(Struct, frozen=True):
    """One line of the report."""

    name: str
    status: Literal["ok", "warn", "fail"]
    message: str
    advice: str = ""


def check_python() -> Iterator[Finding]:
    """Whether this Python is new enough."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        yield Finding("Python", "ok", f"{version} ({sys.executable})")
    else:
        yield Finding("Python", "fail", f"{version} is too old", "Install Python 3.11 or newer.")


def check_packages() -> Iterator[Finding]:
    """Whether the packages that Waystation needs are there, in versions it works with."""
    from packaging.requirements import Requirement

    found = []
    for text in metadata.requires("waystation") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield Finding("Packages", "fail", f"{requirement.name} is missing", f"pip install '{requirement}'")
            continue
        if requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name} {version}")
        else:
            advice = f"pip install '{requirement}'"
            yield Finding("Packages", "fail", f"{requirement.name} {version} does not fit", advice)
    shown = [item for item in found if re.match(r"lang|fastapi|sqlalchemy", item)]
    yield Finding("Packages", "ok", f"waystation {metadata.version('waystation')}, {', '.join(shown)}")


def check_settings(config: Config) -> Iterator[Finding]:
    """What the configuration asks for and does not get."""
    from waystation.config import announce

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it also logs what the findings below say
            announce(config)
    except ConfigError as error:
        yield Finding("Configuration", "fail", error.message)
    else:
        yield Finding("Configuration", "ok", f"{len(config.graphs)} graphs in {config.project_dir}")
        for name in config.unsupported:
            yield Finding("Configuration", "warn", f"{name} is set and has no effect: this version does not support it")
    for notice in config.notices:
        yield Finding("Configuration", "warn", notice)


def check_graphs(config: Config) -> Iterator[Finding]:
    """Whether each graph loads. What the project's code prints goes to stderr."""
    from waystation.graphs import Graphs

    if not config.graphs:
        yield Finding("Graphs", "warn", "there are none", "Name at least one under `graphs` in the configuration file.")
    for graph_id, spec in config.graphs.items():
        try:
            with contextlib.redirect_stdout(sys.stderr):
                Graphs.load(replace(config, graphs={graph_id: spec}))
        except WaystationError as error:
            yield Finding(
                f"Graph {graph_id}", "fail", error.message, "Correct the code; `waystation dev` shows the same."
            )
        else:
            yield Finding(f"Graph {graph_id}", "ok", spec.reference)


def check_custom_app(config: Config) -> Iterator[Finding]:
    """Whether the project's own HTTP application can be served, if it has one."""
    from waystation.custom_app import load_custom_app
    from waystation.graphs.modules import Modules

    try:
        with contextlib.redirect_stdout(sys.stderr):
            custom = load_custom_app(config, Modules(config.project_dir, config.dependencies))
    except ConfigError as error:
        yield Finding("Custom app", "fail", error.message, "Correct the code; `waystation dev` shows the same.")
    else:
        if custom is not None:
            yield Finding("Custom app", "ok", custom.reference)


def check_data_dir(directory: Path) -> Iterator[Finding]:
    """Whether the data directory can be written and has room. A missing one is judged by the directory above it."""
    existing = directory
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        advice = "Give it to this user, or name another with WAYSTATION_DATA_DIR."
        yield Finding("Data", "fail", f"{directory} cannot be written: {error.strerror or error}", advice)
        return
    free = shutil.disk_usage(existing).free
    message = f"{directory}, {free / (1 << 30):.1f} GiB free"
    advice = "Free disk space, or move the data with WAYSTATION_DATA_DIR."
    if free < NO_DISK:
        yield Finding("Data", "fail", message, advice)
    elif free < LITTLE_DISK:
        yield Finding("Data", "warn", message, advice)
    else:
        yield Finding("Data", "ok", message)


def check_database(directory: Path) -> Iterator[Finding]:
    """Whether the database file is sound and of a schema that this version knows. Reads it only."""
    from waystation.storage.data_dir import DATABASE_FILE

    file = directory / DATABASE_FILE
    if not file.exists():
        yield Finding("Database", "ok", f"{file} will be created")
        return
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    except (sqlite3.Error, TypeError) as error:
        advice = "Restore a backup, or move the file away to start empty."
        yield Finding("Database", "fail", f"{file} is not a database of Waystation: {error}", advice)
        return
    size = f"{file}, {file.stat().st_size / (1 << 20):.1f} MiB"
    if damage != "ok":
        yield Finding("Database", "fail", f"{size}, is damaged: {damage}", "Restore a backup.")
        return
    yield Finding("Database", "ok", size)
    yield judge_schema(str(file), revision)


def judge_schema(database: str, revision: str | None) -> Finding:
    """Whether this version can work with a `database` whose schema is at `revision`."""
    from waystation.storage.schema import HEAD

    message = f"{database} has schema {revision}"
    if revision == HEAD:
        return Finding("Schema", "ok", message)
    if revision in _known_revisions():
        advice = "The next start upgrades it; `waystation migrate` does so beforehand."
        return Finding("Schema", "warn", f"{message}, which is older than {HEAD}", advice)
    advice = "Update Waystation, or use another database (WAYSTATION_DATA_DIR, DATABASE_URI)."
    return Finding("Schema", "fail", f"{message}, which is of a newer version of Waystation", advice)


def check_port(host: str, port: int) -> Iterator[Finding]:
    """Whether the server could listen. A port in use is only a warning: that may be this very server."""
    try:
        Listener(host, port).close()
    except ConfigError as error:
        yield Finding("Port", "warn", error.message, "Nothing to do if that is your running server.")
    else:
        yield Finding("Port", "ok", f"{port} on {host} is free")


def check_clock(directory: Path) -> Iterator[Finding]:
    """Whether the clock is sane: leases, expiry and the order of runs depend on it."""
    now = time.time()
    if now < RELEASED:
        yield Finding(
            "Clock", "fail", time.strftime("it says %Y-%m-%d", time.gmtime(now)), "Set the clock of this machine."
        )
        return
    skew = 0.0
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(dir=directory) as file:
        skew = abs(Path(file.name).stat().st_mtime - time.time())
    if skew > CLOCK_SKEW_S:
        message = f"this machine and the disk of {directory} are {skew:.0f} s apart"
        yield Finding("Clock", "warn", message, "Synchronise both with a time server.")
    else:
        yield Finding("Clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


def _known_revisions() -> set[str]:
    from alembic.script import ScriptDirectory

    from waystation.storage.schema import MIGRATIONS

    return {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
