"""SQL of agents and their revisions. Each agent is an assistant as well, which is made, changed and deleted with it.

A row of `deep_agents` is an agent as it is now. A change names the version that it was made for: if there is a newer one, nothing is
written. So definitions are read and checked outside of any transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from waystation import assistants
from waystation.auth.access import Access
from waystation.deepagents.agents.permissions import Level, level_of, require, require_owner, shared_with
from waystation.deepagents.compile import memory
from waystation.deepagents.files.tree import Files, Manifest, digest_of, manifest_of, revision_of
from waystation.deepagents.identity import Principal
from waystation.reserved import MANAGED_GRAPH
from waystation.storage.tables import deep_agent_files, deep_agent_revisions, deep_agent_shares, deep_agents
from waystation.store.areas import forget

__all__ = [
    "Commit",
    "change",
    "clone",
    "create",
    "files_at",
    "files_of",
    "find",
    "list_revisions",
    "load",
    "load_revision",
    "remove",
    "revision_row",
    "row_of",
]

_a = deep_agents.c
_r = deep_agent_revisions.c
_f = deep_agent_files.c

_FIND = select(deep_agents).where(_a.agent_id == bindparam("agent_id"))
_REVISION = select(deep_agent_revisions).where(_r.agent_id == bindparam("agent_id"), _r.number == bindparam("number"))
_FILES = select(_f.digest, _f.content).where(
    _f.agent_id == bindparam("agent_id"), _f.digest.in_(bindparam("digests", expanding=True))
)
_CHANGE = update(deep_agents).where(_a.agent_id == bindparam("of_agent"), _a.version == bindparam("expected"))


class Commit(Struct, frozen=True):
    """A tree as a revision."""

    manifest: Manifest
    revision: str
    contents: Mapping[str, str]
    """By digest."""

    @classmethod
    def of(cls, files: Files) -> Commit:
        manifest = manifest_of(files)
        return cls(manifest, revision_of(manifest), {digest_of(content): content for content in files.values()})


def find(conn: Connection, agent_id: str, principal: Principal, access: Access, needed: Level) -> dict[str, Any]:
    """An agent's row. Raises AgentNotFound and AccessDenied."""
    row = conn.execute(access.limit(_FIND, _a.metadata), {"agent_id": agent_id}).first()
    return dict(require(None if row is None else row._asdict(), principal, needed))


def load(
    conn: Connection, agent_id: str, principal: Principal, access: Access, needed: Level
) -> tuple[dict[str, Any], dict[str, str]]:
    """An agent's row and its files. Raises AgentNotFound and AccessDenied."""
    agent = find(conn, agent_id, principal, access, needed)
    return agent, files_of(conn, agent_id, _manifest(conn, agent))


def create(conn: Connection, row: Mapping[str, Any], commit: Commit) -> dict[str, Any]:
    """Store a new agent with its first revision; the row as it is stored."""
    stored = {**row, "version": 1, "revision": commit.revision, "revision_number": 1, **_derived(row)}
    conn.execute(insert(deep_agents), stored)
    _share(conn, stored)
    _add_revision(conn, stored["agent_id"], 1, commit, stored["owner_id"], stored["created_at"])
    assistants.publish(
        conn, stored["agent_id"], MANAGED_GRAPH, stored["workspace"], **_as_assistant(stored), now=stored["created_at"]
    )
    return stored


def change(
    conn: Connection,
    before: Mapping[str, Any],
    changes: Mapping[str, Any],
    commit: Commit | None,
    author: Principal,
    now: int,
) -> dict[str, Any] | None:
    """Store `changes` of columns, and the tree of `commit` as a new revision unless it is the present one. None, and nothing is
    done, if the agent is no longer what it was `before`."""
    after = {**before, **changes, "version": before["version"] + 1, "updated_at": max(now, before["updated_at"] + 1)}
    after |= _derived(after)
    if commit is not None and commit.revision != before["revision"]:
        after |= {"revision": commit.revision, "revision_number": before["revision_number"] + 1}
    agent_id = before["agent_id"]
    changed = {key: value for key, value in after.items() if value != before.get(key)}
    if not conn.execute(_CHANGE.values(changed), {"of_agent": agent_id, "expected": before["version"]}).rowcount:
        return None
    if "settings" in changed:
        conn.execute(delete(deep_agent_shares).where(deep_agent_shares.c.agent_id == agent_id))
        _share(conn, after)
    if commit is not None and "revision_number" in changed:
        _add_revision(conn, agent_id, after["revision_number"], commit, author.user_id, after["updated_at"])
    assistants.republish(conn, agent_id, **_as_assistant(after), now=after["updated_at"])
    return after


def clone(conn: Connection, source: Mapping[str, Any], row: Mapping[str, Any], commit: Commit) -> dict[str, Any] | None:
    """Store `row` as a new agent with the tree that `source` has. None if that has been changed or deleted."""
    still = select(_a.version).where(_a.agent_id == source["agent_id"]).with_for_update(read=True)
    if conn.execute(still).scalar() != source["version"]:
        return None
    return create(conn, row, commit)


def remove(conn: Connection, agent_id: str, principal: Principal, access: Access) -> None:
    """Delete an agent with its memories, if there is one that the caller sees. Raises AccessDenied unless it is the caller's."""
    row = conn.execute(access.limit(_FIND, _a.metadata), {"agent_id": agent_id}).first()
    if row is None or level_of(row._asdict(), principal) is Level.NONE:
        return
    require_owner(row._asdict(), principal)
    conn.execute(delete(deep_agents).where(_a.agent_id == agent_id))
    assistants.withdraw(conn, agent_id)
    forget(conn, row.workspace, memory.AREA, memory.memories_of(agent_id))


def row_of(conn: Connection, agent_id: str) -> dict[str, Any] | None:
    """An agent's row, for the server itself: nobody is asked who may see it."""
    row = conn.execute(_FIND, {"agent_id": agent_id}).first()
    return None if row is None else row._asdict()


def files_at(conn: Connection, agent_id: str, number: int) -> dict[str, str] | None:
    """The files of an agent's revision, for the server itself; None if it is gone."""
    row = conn.execute(_REVISION, {"agent_id": agent_id, "number": number}).first()
    return None if row is None else files_of(conn, agent_id, row.manifest)


def list_revisions(conn: Connection, agent_id: str, before: int | None, limit: int) -> list[dict[str, Any]]:
    """At most ``limit + 1`` revisions, the newest first, those with numbers below `before`."""
    statement = select(deep_agent_revisions).where(_r.agent_id == agent_id).order_by(_r.number.desc())
    if before is not None:
        statement = statement.where(_r.number < before)
    return [row._asdict() for row in conn.execute(statement.limit(limit + 1))]


def revision_row(conn: Connection, agent_id: str, revision: str) -> dict[str, Any] | None:
    """The newest revision with this name."""
    statement = select(deep_agent_revisions).where(_r.agent_id == agent_id, _r.revision == revision)
    row = conn.execute(statement.order_by(_r.number.desc()).limit(1)).first()
    return None if row is None else row._asdict()


def load_revision(conn: Connection, agent_id: str, revision: str) -> tuple[dict[str, Any], dict[str, str]] | None:
    """A revision and its files."""
    row = revision_row(conn, agent_id, revision)
    return None if row is None else (row, files_of(conn, agent_id, row["manifest"]))


def files_of(conn: Connection, agent_id: str, manifest: Manifest) -> dict[str, str]:
    """The contents of a tree."""
    digests = sorted(set(manifest.values()))
    rows = conn.execute(_FILES, {"agent_id": agent_id, "digests": digests})
    contents = {row.digest: bytes(row.content).decode() for row in rows}
    return {path: contents[digest] for path, digest in manifest.items()}


def _manifest(conn: Connection, agent: Mapping[str, Any]) -> Manifest:
    asked = {"agent_id": agent["agent_id"], "number": agent["revision_number"]}
    manifest: Manifest = conn.execute(_REVISION, asked).one().manifest
    return manifest


def _add_revision(conn: Connection, agent_id: str, number: int, commit: Commit, author_id: str, now: int) -> None:
    revision = {"revision": commit.revision, "manifest": dict(commit.manifest)}
    row = {"agent_id": agent_id, "number": number, **revision, "author_id": author_id, "created_at": now}
    conn.execute(insert(deep_agent_revisions), row)
    stored = select(_f.digest).where(and_(_f.agent_id == agent_id, _f.digest.in_(list(commit.contents))))
    known = set(conn.execute(stored).scalars())
    new = [
        {"agent_id": agent_id, "digest": digest, "content": content.encode()}
        for digest, content in commit.contents.items()
        if digest not in known
    ]
    if new:
        conn.execute(insert(deep_agent_files), new)


def _as_assistant(row: Mapping[str, Any]) -> dict[str, Any]:
    settings = row["settings"]
    return {
        "name": row["name"],
        "description": settings.get("description"),
        "configurable": settings.get("configurable") or {},
        "metadata": row["metadata"],
    }


def _derived(row: Mapping[str, Any]) -> dict[str, Any]:
    """Columns for searches."""
    return {"folded_name": row["name"].casefold(), "visibility": row["settings"]["permissions"]["visibility"]}


def _share(conn: Connection, row: Mapping[str, Any]) -> None:
    users: Sequence[str] = list(shared_with(row["settings"]["permissions"]))
    if users:
        conn.execute(
            insert(deep_agent_shares), [{"agent_id": row["agent_id"], "user_id": user_id} for user_id in users]
        )
