"""SQL of finding threads (spec 1.4, 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, literal, select

from waystation.auth.access import Access
from waystation.encoding import decode, encode
from waystation.storage.containment import contains, unindexed
from waystation.storage.tables import threads
from waystation.storage.thread_source import FEW, ThreadSource, thread_source
from waystation.threads.extract import Extraction, picked
from waystation.threads.wire import columns, stored_thread

__all__ = ["Filters", "Order", "Page", "count", "find_ids", "search"]


@dataclass(frozen=True, slots=True)
class Filters:
    """All that are given must match; `metadata` and `values` by containment."""

    metadata: Mapping[str, Any] | None = None
    values: Mapping[str, Any] | None = None
    status: str | None = None
    ids: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A column of `threads` to sort by; equal ones are in order of creation."""

    column: str = "created_at"
    ascending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    limit: int
    offset: int = 0


MANY = 2**62
"""More threads than there can be."""

_SCATTERED = frozenset({"thread_id", "updated_at", "state_updated_at"})
"""Columns whose values differ from thread to thread: a value limits how many threads come before it."""

NEAR, NEAR_FOR_EACH = 4000, 20
"""So many threads, and so many more for each that is wanted, are looked at in the order of the sort before giving up on it."""

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
    statement = _of_workspace(conn, _page(conn, filters, order, page, source), filters, order, source, access)
    if source.otherwise is not None and order.column in _SCATTERED:
        column: ColumnElement[Any] = threads.c[order.column]
        nearest = NEAR + NEAR_FOR_EACH * (page.offset + page.limit)
        sort = column.asc() if order.ascending else column.desc()
        last = conn.execute(select(column).order_by(sort).limit(1).offset(nearest)).scalar()
        if last is not None:
            near = statement.where(column <= last if order.ascending else column >= last)
            found = list(conn.execute(access.limit(near, threads.c.metadata)).scalars())
            if len(found) == page.limit:
                return found
            statement = _page(conn, filters, order, page, source.otherwise(conn))
    return list(conn.execute(access.limit(statement, threads.c.metadata)).scalars())


def _page(conn: Connection, filters: Filters, order: Order, page: Page, source: ThreadSource) -> Select[Any]:
    """The statement that finds the page from `source` on."""
    statement = select(source.thread_id).select_from(source.rows).where(*source.conditions)
    statement = _filtered(conn, statement, filters, source, order)
    for key in _sort_keys(order, source):
        statement = statement.order_by(key.asc() if order.ascending else key.desc())
    return statement.limit(page.limit).offset(page.offset)


def count(conn: Connection, filters: Filters, access: Access) -> int:
    """How many threads match."""
    source = thread_source(conn, _indexed(filters, access), by_creation=True)
    matching = select(literal(1).label("one")).select_from(source.rows).where(*source.conditions)
    matching = _of_workspace(
        conn, _filtered(conn, matching, filters, source, Order()), filters, Order(), source, access
    )
    matching = access.limit(matching, threads.c.metadata)
    # The limit keeps SQLite from merging the two queries; only in one of its own does it omit a join that is not needed.
    found: int = conn.execute(select(func.count()).select_from(matching.limit(MANY).subquery())).scalar_one()
    return found


def _indexed(filters: Filters, access: Access) -> Mapping[str, Any] | None:
    """The metadata that is wanted, with what the caller's access asks for all the same, so that the search begins there."""
    return {**access.required("threads"), **(filters.metadata or {})}


def _of_workspace(
    conn: Connection, statement: Select[Any], filters: Filters, order: Order, source: ThreadSource, access: Access
) -> Select[Any]:
    """`statement`, made to start at the threads of the caller's workspace where that is the best there is."""
    if access.workspace is None or source.narrow or filters.ids is not None or filters.status is not None:
        return statement
    if order.column != "created_at":
        of_workspace = conn.execute(_IN_WORKSPACE, {"workspace": access.workspace}).scalar_one()
        if of_workspace > FEW:
            return statement
    return statement.where(threads.c.workspace == access.workspace)


def _sort_keys(order: Order, source: ThreadSource) -> list[ColumnElement[Any]]:
    if order.column == "thread_id":
        return [source.thread_id]
    if order.column == "created_at":
        return [source.created_at, source.thread_id]
    return [threads.c[order.column], source.created_at, source.thread_id]


def _filtered(
    conn: Connection, statement: Select[Any], filters: Filters, source: ThreadSource, order: Order
) -> Select[Any]:
    """`statement` with the filters other than metadata."""
    if filters.ids is not None:
        statement = statement.where(threads.c.thread_id.in_(filters.ids))
    if filters.status is not None:
        statement = statement.where(_status(conn, filters, source, order) == filters.status)
    if filters.values:
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
