"""SQL of assistants and their versions. An assistant's row is its current version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql

from waystation.assistants.configuration import replaced
from waystation.auth.access import Access
from waystation.encoding import encode
from waystation.errors import Conflict, Forbidden, NotFound, WaystationError
from waystation.storage.containment import contains
from waystation.storage.sealing import require_searchable
from waystation.storage.tables import assistant_versions, assistants

__all__ = [
    "Content",
    "Filters",
    "Patch",
    "count",
    "create",
    "find",
    "get",
    "is_shared",
    "list_versions",
    "names",
    "patch",
    "remove",
    "require_own",
    "search",
    "set_latest",
    "was_called",
]

S = TypeVar("S", bound=Select[Any])


class Content(Struct, frozen=True):
    """What a version consists of."""

    graph_id: str
    name: str
    description: str | None
    config: Mapping[str, Any]
    context: Mapping[str, Any]
    metadata: Mapping[str, Any]


class Patch(Struct, frozen=True):
    """Changes to a `Content`; None leaves a field as it is, `metadata` is merged (spec 2.3)."""

    graph_id: str | None = None
    name: str | None = None
    description: str | None = None
    config: Mapping[str, Any] | None = None
    context: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None

    def applied_to(self, row: Mapping[str, Any]) -> Content:
        """Raises BadInput when both config.configurable and context say something."""
        config, context = replaced((row["config"], row["context"]), self.config, self.context)
        return Content(
            row["graph_id"] if self.graph_id is None else self.graph_id,
            row["name"] if self.name is None else self.name,
            row["description"] if self.description is None else self.description,
            config,
            context,
            {**row["metadata"], **(self.metadata or {})},
        )


class Filters(Struct, frozen=True):
    """Which assistants to search: all that are given must match, and the graph must be one of `graphs` (spec 2.2)."""

    graphs: Iterable[str]
    metadata: Mapping[str, Any] | None = None
    graph_id: str | None = None
    name: str | None = None

    def narrow(self, statement: S) -> S:
        graphs = [self.graph_id] if self.graph_id is not None else list(self.graphs)
        statement = statement.where(assistants.c.graph_id.in_(graphs))
        if self.name:
            statement = statement.where(assistants.c.name.icontains(self.name, autoescape=True))
        if self.metadata:
            require_searchable(assistants.c.metadata, self.metadata)
            statement = statement.where(contains(assistants.c.metadata, encode(self.metadata)))
        return statement


_INSERT = (
    postgresql.insert(assistants)
    .on_conflict_do_nothing(index_elements=["assistant_id"])
    .returning(assistants.c.assistant_id)
)
_INSERT_VERSION = insert(assistant_versions)
_FIND = select(assistants).where(assistants.c.assistant_id == bindparam("assistant_id"))
_LOCK = _FIND.with_for_update()
_NEWEST_VERSION = select(func.max(assistant_versions.c.version)).where(
    assistant_versions.c.assistant_id == bindparam("assistant_id")
)
_VERSION = select(assistant_versions).where(
    assistant_versions.c.assistant_id == bindparam("assistant_id"), assistant_versions.c.version == bindparam("version")
)
_UPDATE = update(assistants).where(assistants.c.assistant_id == bindparam("of_assistant"))
_DELETE = delete(assistants).where(assistants.c.assistant_id == bindparam("of_assistant"))


def create(
    conn: Connection,
    assistant_id: str,
    content: Content,
    if_exists: Literal["raise", "do_nothing"],
    now: int,
    access: Access,
    *,
    shared: bool = False,
) -> dict[str, Any]:
    """Store a new assistant as version 1, of the caller's workspace or `shared` by all; returns its row. Raises Conflict
    (spec 2.3)."""
    row = {"assistant_id": assistant_id, **asdict(content), "version": 1, "created_at": now}
    if conn.execute(_INSERT, {**row, "updated_at": now, "workspace": None if shared else access.home}).first():
        conn.execute(_INSERT_VERSION, row)
        return {**row, "updated_at": now}
    existing = find(conn, assistant_id, access) if if_exists == "do_nothing" else None
    if existing is None:
        raise Conflict(f"The assistant {assistant_id} already exists.")
    return existing


def find(conn: Connection, assistant_id: str, access: Access) -> dict[str, Any] | None:
    """An assistant's row, or None."""
    statement = access.limit(_FIND, assistants.c.metadata, shared="filtered")
    row = conn.execute(statement, {"assistant_id": assistant_id}).first()
    return None if row is None else row._asdict()


def get(conn: Connection, assistant_id: str, access: Access) -> dict[str, Any]:
    """An assistant's row. Raises NotFound."""
    row = find(conn, assistant_id, access)
    if row is None:
        raise _missing(assistant_id)
    return row


def require_own(conn: Connection, assistant_id: str, access: Access) -> None:
    """Raise NotFound or Forbidden unless the caller may change and delete the assistant."""
    if conn.execute(access.limit(_FIND, assistants.c.metadata), {"assistant_id": assistant_id}).first() is None:
        raise _not_own(conn, assistant_id, access)


def is_shared(conn: Connection, assistant_id: str) -> bool:
    """Whether the server made the assistant, for everyone to run."""
    row = conn.execute(_FIND, {"assistant_id": assistant_id}).first()
    return row is not None and row.workspace is None


def patch(conn: Connection, assistant_id: str, changes: Patch, now: int, access: Access) -> dict[str, Any]:
    """Make a new version, numbered after the highest there is, current. Raises NotFound, BadInput."""
    row = _locked(conn, assistant_id, access)
    newest = conn.execute(_NEWEST_VERSION, {"assistant_id": assistant_id}).scalar_one()
    content = {**asdict(changes.applied_to(row)), "version": newest + 1}
    conn.execute(_INSERT_VERSION, {"assistant_id": assistant_id, **content, "created_at": now})
    return _make_current(conn, row, content, now)


def set_latest(conn: Connection, assistant_id: str, version: int, now: int, access: Access) -> dict[str, Any]:
    """Make an existing version current, with everything in it. Raises NotFound."""
    row = _locked(conn, assistant_id, access)
    chosen = conn.execute(_VERSION, {"assistant_id": assistant_id, "version": version}).first()
    if chosen is None:
        raise NotFound(f"The assistant {assistant_id} has no version {version}.")
    kept = ("graph_id", "name", "description", "config", "context", "metadata", "version")
    return _make_current(conn, row, {name: chosen._mapping[name] for name in kept}, now)


def remove(conn: Connection, assistant_id: str, access: Access) -> None:
    """Delete an assistant and its versions. Raises NotFound."""
    if not conn.execute(access.limit(_DELETE, assistants.c.metadata), {"of_assistant": assistant_id}).rowcount:
        raise _not_own(conn, assistant_id, access)


def search(
    conn: Connection, filters: Filters, sort_by: str, sort_order: str, limit: int, offset: int, access: Access
) -> list[dict[str, Any]]:
    """At most ``limit + 1`` rows; text sorts regardless of case."""
    column = assistants.c[sort_by]
    key = column if sort_by.endswith("_at") else func.lower(column)
    order = [key, assistants.c.assistant_id]
    statement = filters.narrow(select(assistants)).order_by(
        *(c.asc() if sort_order == "asc" else c.desc() for c in order)
    )
    statement = statement.limit(limit + 1).offset(offset)
    limited = access.limit(statement, assistants.c.metadata, shared="filtered")
    return [row._asdict() for row in conn.execute(limited)]


def names(conn: Connection, filters: Filters, access: Access) -> list[tuple[str, str]]:
    """The id and the name of every assistant that matches, oldest first."""
    statement = filters.narrow(select(assistants.c.assistant_id, assistants.c.name)).order_by(
        assistants.c.created_at, assistants.c.assistant_id
    )
    limited = access.limit(statement, assistants.c.metadata, shared="filtered")
    return [(row.assistant_id, row.name) for row in conn.execute(limited)]


def count(conn: Connection, filters: Filters, access: Access) -> int:
    """How many assistants match."""
    statement = filters.narrow(select(func.count()).select_from(assistants))
    found: int = conn.execute(access.limit(statement, assistants.c.metadata, shared="filtered")).scalar_one()
    return found


def list_versions(
    conn: Connection, assistant_id: str, metadata: Mapping[str, Any] | None, limit: int, offset: int, access: Access
) -> list[dict[str, Any]]:
    """An assistant's versions, newest first. Raises NotFound if there is none that matches."""
    matching = (
        select(assistant_versions)
        .join(assistants, assistants.c.assistant_id == assistant_versions.c.assistant_id)
        .where(assistant_versions.c.assistant_id == assistant_id)
        .order_by(assistant_versions.c.version.desc())
    )
    if metadata:
        require_searchable(assistant_versions.c.metadata, metadata)
        matching = matching.where(contains(assistant_versions.c.metadata, encode(metadata)))
    matching = access.limit(matching, assistants.c.metadata, shared="filtered")
    rows = [row._asdict() for row in conn.execute(matching.limit(limit).offset(offset))]
    if not rows and (offset == 0 or conn.execute(matching.limit(1)).first() is None):
        raise NotFound(f"The assistant {assistant_id} has no version that matches.")
    return rows


def was_called(conn: Connection, assistant_id: str, name: str, description: str | None) -> bool:
    """Whether a version of the assistant has this name and description."""
    statement = select(assistant_versions.c.version).where(
        assistant_versions.c.assistant_id == assistant_id,
        assistant_versions.c.name == name,
        assistant_versions.c.description.is_not_distinct_from(description),
    )
    return conn.execute(statement.limit(1)).first() is not None


def _locked(conn: Connection, assistant_id: str, access: Access) -> dict[str, Any]:
    statement = access.limit(_LOCK, assistants.c.metadata)
    row = conn.execute(statement, {"assistant_id": assistant_id}).first()
    if row is None:
        raise _not_own(conn, assistant_id, access)
    return row._asdict()


def _not_own(conn: Connection, assistant_id: str, access: Access) -> WaystationError:
    """Why the caller cannot change an assistant."""
    if access.workspace is not None and find(conn, assistant_id, access) is not None:
        return Forbidden(f"The assistant {assistant_id} is shared by all workspaces; none can change or delete it.")
    return _missing(assistant_id)


def _make_current(conn: Connection, row: Mapping[str, Any], content: Mapping[str, Any], now: int) -> dict[str, Any]:
    conn.execute(_UPDATE, {"of_assistant": row["assistant_id"], **content, "updated_at": now})
    return {**row, **content, "updated_at": now}


def _missing(assistant_id: str) -> NotFound:
    return NotFound(f"There is no assistant {assistant_id}.")
