"""SQL of finding threads (spec 1.4, 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, literal, select, tuple_

from waystation.auth.access import Access
from waystation.encoding import decode, encode
from waystation.storage.containment import contains, unindexed, unwalked
from waystation.storage.sealing import hidden_keys, require_searchable
from waystation.storage.tables import threads
from waystation.storage.thread_source import FEW, ThreadSource, thread_source
from waystation.threads.extract import Extraction, picked
from waystation.threads.wire import columns, stored_thread

__all__ = ["Filters", "Order", "Page", "count", "find_ids", "search"]


class Filters(Struct, frozen=True):
    """All that are given must match; `metadata` and `values` by containment."""

    metadata: Mapping[str, Any] | None = None
    values: Mapping[str, Any] | None = None
    status: str | None = None
    ids: Sequence[str] | None = None
    unread: bool | None = None


class Order(Struct, frozen=True):
    """A column of `threads` to sort by; equal ones are in order of creation."""

    column: str = "created_at"
    ascending: bool = False


class Page(Struct, frozen=True):
    limit: int
    offset: int = 0


MANY = 2**62
"""More threads than there can be."""

_SCATTERED = frozenset({"thread_id", "updated_at", "state_updated_at"})
"""Columns whose values differ from thread to thread: a value limits how many threads come before it."""

NEAR, NEAR_FOR_EACH = 4000, 20
"""So many threads, and so many more for each that is wanted, are looked at in the order of the sort before giving up on it (SQLite)."""

GATHERED = 6000
"""So many threads may be read and sorted for one page (PostgreSQL)."""

LOOKED_AT, PATIENCE = 1000, 3
"""So many threads, or so many times as many as should be enough, are looked at in the order of the sort before they are
(PostgreSQL)."""

WALKED = 2
"""So many threads are looked at in the order of the sort in the time that reading and sorting one takes (PostgreSQL)."""

_WITH_STATUS = select(func.count()).select_from(
    select(literal(1).label("one")).where(threads.c.status == bindparam("status")).limit(FEW + 1).subquery()
)

_IN_WORKSPACE = select(func.count()).select_from(
    select(literal(1).label("one")).where(threads.c.workspace == bindparam("workspace")).limit(FEW + 1).subquery()
)


def search(
    conn: Connection,
    filters: Filters,
    order: Order,
    page: Page,
    fields: Sequence[str],
    extractions: Sequence[Extraction],
    access: Access,
) -> list[dict[str, Any]]:
    """A page of threads with the wire form of `fields`, and ``extracted`` if there are `extractions`."""
    ids = find_ids(conn, filters, order, page, access)
    roots = [root for root in dict.fromkeys(e.root for e in extractions) if root not in fields]
    read = (*fields, *roots)
    statement = select(threads.c.thread_id, *columns(read)).where(threads.c.thread_id.in_(ids))
    # Sorting ids and then fetching the rows keeps large values out of the sort.
    rows = {row[0]: row[1:] for row in conn.execute(access.limit(statement, threads.c.metadata))}
    found = []
    for thread_id in ids:
        thread = stored_thread(rows[thread_id], fields)
        if extractions:
            thread["extracted"] = _extracted(extractions, dict(zip(read, rows[thread_id], strict=True)))
        found.append(thread)
    return found


def _extracted(extractions: Sequence[Extraction], row: Mapping[str, Any]) -> dict[str, Any]:
    documents = {e.root: row[e.root] for e in extractions}
    return picked(extractions, {root: text and decode(text) for root, text in documents.items()})


def find_ids(conn: Connection, filters: Filters, order: Order, page: Page, access: Access) -> list[str]:
    """The ids of a page of threads."""
    source = thread_source(
        conn,
        _indexed(filters, access),
        by_creation=order.column == "created_at",
        given_ids=filters.ids is not None,
    )
    source = _of_workspace(conn, source, filters, order, access)
    statement = _page(conn, filters, order, page, source)
    if source.otherwise is not None:
        nearest = _nearest(source, order, page)
        near = _near(conn, order, nearest) if nearest else None
        if near is not None:
            found = list(conn.execute(access.limit(statement.where(near), threads.c.metadata)).scalars())
            if len(found) == page.limit:
                return found
        if near is not None or nearest == 0:
            statement = _page(conn, filters, order, page, source.otherwise(conn))
    return list(conn.execute(access.limit(statement, threads.c.metadata)).scalars())


def _nearest(source: ThreadSource, order: Order, page: Page) -> int | None:
    """How many threads to look at in the order of the sort before giving up on it; None for as many as it takes."""
    wanted = page.offset + page.limit
    if source.estimate is None:
        return NEAR + NEAR_FOR_EACH * wanted if order.column in _SCATTERED else None
    matching = source.estimate.matching
    if matching > GATHERED:
        return None
    expected = wanted * source.estimate.all // matching
    return 0 if expected > WALKED * matching else max(LOOKED_AT, PATIENCE * expected)


def _near(conn: Connection, order: Order, nearest: int) -> ColumnElement[bool] | None:
    """The condition that a thread is one of the first in the order of the sort; None if there are no others."""
    # Many threads have the same status, so that by itself it would not limit how many come before the last of the first.
    columns = [threads.c.status, threads.c.created_at] if order.column == "status" else [threads.c[order.column]]
    sort = [column.asc() if order.ascending else column.desc() for column in columns]
    last = conn.execute(select(*columns).order_by(*sort).limit(1).offset(nearest)).first()
    if last is None:
        return None
    place: ColumnElement[Any] = columns[0] if len(columns) == 1 else tuple_(*columns)
    end = last[0] if len(columns) == 1 else tuple_(*last)
    return place <= end if order.ascending else place >= end


def _page(conn: Connection, filters: Filters, order: Order, page: Page, source: ThreadSource) -> Select[Any]:
    """The statement that finds the page from `source` on."""
    statement = select(source.thread_id).select_from(source.rows).where(*source.conditions)
    statement = _filtered(conn, statement, filters, source, order)
    for key in _sort_keys(order, source):
        statement = statement.order_by(key.asc() if order.ascending else key.desc())
    return statement.limit(page.limit).offset(page.offset)


def count(conn: Connection, filters: Filters, access: Access) -> int:
    """How many threads match."""
    indexed = filters.metadata if access.only_own else _indexed(filters, access)
    source = thread_source(conn, indexed, by_creation=True, count_only=True)
    if access.only_own and not source.narrow:
        owner = threads.c.workspace == access.workspace, threads.c.owner_id == access.member
        source = replace(source, conditions=(*source.conditions, *owner))
    source = _of_workspace(conn, source, filters, Order(), access)
    matching = select(literal(1).label("one")).select_from(source.rows).where(*source.conditions)
    matching = access.limit(_filtered(conn, matching, filters, source, Order()), threads.c.metadata)
    # The limit keeps SQLite from merging the two queries; only in one of its own does it omit a join that is not needed.
    found: int = conn.execute(select(func.count()).select_from(matching.limit(MANY).subquery())).scalar_one()
    return found


def _indexed(filters: Filters, access: Access) -> Mapping[str, Any] | None:
    """The metadata that is wanted, with what the caller's access asks for all the same, so that the search begins there."""
    required = access.required("threads")
    hidden = hidden_keys(threads.c.metadata, required)
    given = filters.metadata or {}
    return {**given, **{key: value for key, value in required.items() if key not in hidden and key not in given}}


def _of_workspace(
    conn: Connection, source: ThreadSource, filters: Filters, order: Order, access: Access
) -> ThreadSource:
    """`source`, or the threads of the caller's workspace where they are better to start from."""
    if access.workspace is None or source.narrow or filters.ids is not None:
        return source
    if access.only_own or filters.status is not None:
        return source
    own = replace(source, conditions=(*source.conditions, threads.c.workspace == access.workspace))
    if order.column == "created_at":  # their index is in that order
        return own
    of_workspace = conn.execute(_IN_WORKSPACE, {"workspace": access.workspace}).scalar_one()
    return replace(own, gathered=True, otherwise=None) if of_workspace <= FEW else source


def _sort_keys(order: Order, source: ThreadSource) -> list[ColumnElement[Any]]:
    keys: list[ColumnElement[Any]] = [source.created_at, source.thread_id]
    if order.column == "thread_id":
        keys = [source.thread_id]
    elif order.column != "created_at":
        keys = [threads.c[order.column], *keys]
    if source.gathered:
        keys[0] = unwalked(keys[0])
    return keys


def _filtered(
    conn: Connection, statement: Select[Any], filters: Filters, source: ThreadSource, order: Order
) -> Select[Any]:
    """`statement` with the filters other than metadata. Raises UnprocessableInput for those that can find nothing."""
    if filters.ids is not None:
        statement = statement.where(threads.c.thread_id.in_(filters.ids))
    if filters.status is not None:
        statement = statement.where(_status(conn, filters, source, order) == filters.status)
    if filters.unread is not None:
        statement = statement.where(threads.c.unread.is_(filters.unread))
    if filters.metadata:
        require_searchable(threads.c.metadata, filters.metadata)
    if filters.values:
        require_searchable(threads.c["values"], filters.values)
        statement = statement.where(contains(threads.c["values"], encode(filters.values)))
    return statement


def _status(conn: Connection, filters: Filters, source: ThreadSource, order: Order) -> ColumnElement[str]:
    """The status column, kept from being the place to start from where another one is better."""
    if source.narrow or filters.ids is not None:
        return unindexed(threads.c.status)
    if order.column in ("created_at", "status"):
        return threads.c.status
    few = conn.execute(_WITH_STATUS, {"status": filters.status}).scalar_one() <= FEW
    return threads.c.status if few else unindexed(threads.c.status)
