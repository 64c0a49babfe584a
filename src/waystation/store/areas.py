"""Parts of the store that only the server itself can name (`waystation.store.namespaces`)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete

from waystation.storage.tables import store_items
from waystation.store.namespaces import encode_namespace, root_of, subtree_end

__all__ = ["forget"]


def forget(conn: Connection, workspace: str, area: str, namespace: Sequence[str]) -> None:
    """Delete all items at and below a namespace of an area."""
    first = root_of(workspace, area) + encode_namespace(namespace)
    within = store_items.c.namespace >= first, store_items.c.namespace < subtree_end(first)
    conn.execute(delete(store_items).where(*within))
