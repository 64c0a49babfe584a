"""Where a search for threads by metadata starts from, so that it reads few rows however many threads there are.

On PostgreSQL there is a GIN index of the metadata. Left alone, the planner takes it for what is rare, and otherwise walks the index
of the sort until the page is full. It believes that what matches is spread evenly: threads that have something in common and
are all old would be found at the end of the walk. Therefore, as long as not too many match by the planner's estimate, the walk ends
soon after it should have filled the page, and does not begin if it should take long. Then all that match are read from the
GIN index and sorted (`ThreadSource.otherwise`).

On SQLite the choice is made here, from the labels of the wanted metadata (`waystation.storage.labels`) and a look at how many
threads carry each:

* sorted by creation, the rarest label's part of the index is read in order, and ends at the page's last row;
* sorted otherwise, a rare label's threads are all read and sorted;
* a common label is looked up for one thread after the other, in the order of the sort. Where none of the first threads carries
  it, that could take long: then its threads are read and sorted after all (`ThreadSource.otherwise`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, FromClause, TableClause, bindparam, exists, func, literal, select

from waystation.encoding import decode, encode
from waystation.storage.containment import contains
from waystation.storage.estimates import Estimate, estimate_threads
from waystation.storage.labels import Label, labels_of, thread_labels
from waystation.storage.tables import threads

__all__ = ["FEW", "ThreadSource", "thread_source"]

FEW = 2000
"""So many threads may be read and sorted for one page; beyond, walking an index in order is faster."""


MANY = 50_000
"""So many threads may be read and sorted when a walk has gone on for too long."""

MOST_LABELS = 20
"""So many labels are looked up; SQLite refuses statements with a thousand conditions, and the rest is checked row by row."""


class ThreadSource(Struct, frozen=True):
    """What to select thread ids from. Conditions on `threads` may be added in any case."""

    rows: FromClause
    conditions: tuple[ColumnElement[bool], ...]
    thread_id: ColumnElement[str]
    created_at: ColumnElement[int]
    """Sort by this column rather than that of `threads`."""
    narrow: bool
    """Whether the search starts at an index other than those of `threads`."""
    estimate: Estimate | None = None
    """Of all threads and those with the wanted metadata; PostgreSQL only."""
    gathered: bool = False
    """Whether all threads that match are to be found before they are sorted."""
    otherwise: Callable[[Connection], ThreadSource] | None = None
    """Tells where to start if the first threads in the order of the sort have turned out not to fill the page."""


_COUNT = select(func.count()).select_from(
    select(literal(1).label("one"))
    .select_from(thread_labels)
    .where(thread_labels.c.key == bindparam("label_key"), thread_labels.c.value == bindparam("label_value"))
    .limit(bindparam("most"))
    .subquery()
)


def thread_source(
    conn: Connection,
    metadata: Mapping[str, Any] | None,
    *,
    by_creation: bool,
    given_ids: bool = False,
    count_only: bool = False,
) -> ThreadSource:
    """The threads whose metadata contains `metadata`.

    `by_creation`: whether the result is sorted by creation, or not at all. `given_ids`: whether the caller adds a
    condition on the ids, which then is the place to start from. `count_only`: whether no page is wanted, but all.
    """
    needle = encode(metadata) if metadata else None
    if needle is None:
        return _threads()
    if conn.dialect.name != "sqlite":
        walk = _threads(contains(threads.c.metadata, needle))
        if given_ids or count_only:
            return walk
        gathered = replace(walk, gathered=True)
        return replace(walk, estimate=estimate_threads(conn, needle), otherwise=lambda conn: gathered)
    labels, sufficient = labels_of(decode(needle))
    sufficient = sufficient and len(labels) <= MOST_LABELS
    del labels[MOST_LABELS:]
    exact = () if sufficient else (contains(threads.c.metadata, needle),)
    if not labels or given_ids:
        return _threads(*(_carries(threads, label) for label in labels), *exact)
    counts = [_count(conn, label, FEW) for label in labels]
    rarest = counts.index(min(counts))
    narrow = _labelled(labels[rarest], [*labels[:rarest], *labels[rarest + 1 :]], exact)
    if by_creation or counts[rarest] <= FEW:
        return narrow
    walk = _threads(*(_carries(threads, label) for label in labels), *exact)
    return replace(walk, otherwise=lambda conn: narrow if _count(conn, labels[rarest], MANY) <= MANY else walk)


def _count(conn: Connection, label: Label, most: int) -> int:
    """How many threads carry the label; not counted further than one more than `most`."""
    parameters = {"label_key": label.key, "label_value": label.value, "most": most + 1}
    found: int = conn.execute(_COUNT, parameters).scalar_one()
    return found


def _threads(*conditions: ColumnElement[bool]) -> ThreadSource:
    return ThreadSource(threads, conditions, threads.c.thread_id, threads.c.created_at, narrow=False)


def _labelled(first: Label, others: Sequence[Label], exact: tuple[ColumnElement[bool], ...]) -> ThreadSource:
    """Start at the label `first`. The outer join lets SQLite leave `threads` alone when nothing is asked of it."""
    start = thread_labels.alias("label")
    return ThreadSource(
        start.outerjoin(threads, threads.c.thread_id == start.c.thread_id),
        (start.c.key == first.key, start.c.value == first.value, *(_carries(start, label) for label in others), *exact),
        start.c.thread_id,
        start.c.created_at,
        narrow=True,
    )


def _carries(rows: FromClause | TableClause, label: Label) -> ColumnElement[bool]:
    other = thread_labels.alias()
    return exists().where(
        other.c.key == label.key,
        other.c.value == label.value,
        other.c.created_at == rows.c.created_at,
        other.c.thread_id == rows.c.thread_id,
    )
