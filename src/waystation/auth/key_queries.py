"""SQL of API keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from waystation.auth.keys import KeyOwner, NewKey
from waystation.storage.tables import api_keys

__all__ = ["StoredKey", "create", "find", "list_keys", "revoke", "touch", "valid"]


class StoredKey(NamedTuple):
    """A key as stored; times are microseconds since the epoch."""

    key_id: str
    digest: bytes
    workspace: str
    user_id: str | None
    created_at: int
    last_used_at: int | None
    revoked_at: int | None


_k = api_keys.c
_FIND = select(*_k).where(_k.key_id == bindparam("id_of_key"))
_VALID = select(_k.key_id).where(_k.key_id.in_(bindparam("ids", expanding=True)), _k.revoked_at.is_(None))
_LIST = select(*_k).order_by(_k.created_at, _k.key_id)
_REVOKE = (
    update(api_keys)
    .where(_k.key_id == bindparam("id_of_key"), _k.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_TOUCH = (
    update(api_keys)
    .where(_k.key_id == bindparam("id_of_key"), or_(_k.last_used_at.is_(None), _k.last_used_at < bindparam("before")))
    .values(last_used_at=bindparam("now"))
)


def create(conn: Connection, key: NewKey, owner: KeyOwner, now: int) -> None:
    """Store a key for its owner."""
    row: dict[str, Any] = {"key_id": key.key_id, "digest": key.digest, "created_at": now}
    conn.execute(insert(api_keys), {**row, "workspace": owner.workspace, "user_id": owner.user_id})


def find(conn: Connection, key_id: str) -> StoredKey | None:
    """The key with this id, whether it is revoked or not."""
    row = conn.execute(_FIND, {"id_of_key": key_id}).first()
    return None if row is None else StoredKey._make(row)


def valid(conn: Connection, key_ids: Sequence[str]) -> set[str]:
    """Those of the keys that there are and that are not revoked."""
    return set(conn.execute(_VALID, {"ids": list(key_ids)}).scalars())


def list_keys(conn: Connection, workspace: str | None = None) -> Sequence[StoredKey]:
    """All keys, or those of a workspace, the oldest first."""
    statement = _LIST if workspace is None else _LIST.where(_k.workspace == workspace)
    return [StoredKey._make(row) for row in conn.execute(statement)]


def revoke(conn: Connection, key_id: str, now: int) -> bool:
    """Make a key worthless for good; False if there is none with this id that is not revoked yet."""
    return bool(conn.execute(_REVOKE, {"id_of_key": key_id, "now": now}).rowcount)


def touch(conn: Connection, key_id: str, now: int, before: int) -> None:
    """Note that a key was used, unless that was noted since `before`."""
    conn.execute(_TOUCH, {"id_of_key": key_id, "now": now, "before": before})
