"""SQL of threads whose time to live is over (spec 21)."""

from __future__ import annotations

import structlog
from msgspec import Struct, field
from sqlalchemy import Connection, bindparam, select, update

from waystation.errors import SealBroken
from waystation.storage import checkpoints
from waystation.storage.prepared import Prepared
from waystation.storage.tables import threads
from waystation.threads.removal import PART, THREAD_COST, Removed, remove_thread
from waystation.threads.ttl import expiry

__all__ = ["Expired", "sweep_some"]

log = structlog.get_logger("waystation.sweeper")

AT_ONCE = 50
"""Threads locked by one transaction."""


class Expired(Struct):
    """What one transaction has done about expired threads."""

    deleted: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    set_aside: list[int] = field(default_factory=list)
    """Checkpoints that are still to be deleted, for `checkpoints.delete_set_aside`."""
    more: bool = False
    """Whether there may be further threads."""
    unfinished: tuple[str, checkpoints.Place] | None = None
    """A thread whose pruning has only begun, and how far it has come."""


_EXPIRED = (
    select(threads.c.thread_id, threads.c.ttl_strategy, threads.c.ttl_minutes)
    .where(threads.c.expires_at <= bindparam("before"), threads.c.status != "busy")
    .order_by(threads.c.expires_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
"""A thread with a run in flight is busy, and a run that is being created has its thread locked."""

_RENEW = Prepared(
    update(threads).where(threads.c.thread_id == bindparam("of_thread")).values(expires_at=bindparam("new_expires_at")),
)


def sweep_some(
    conn: Connection,
    before: int,
    now: int,
    limit: int,
    unfinished: tuple[str, checkpoints.Place] | None = None,
    most: int = PART,
) -> Expired:
    """Carry out the strategy of at most `limit` threads that have expired by `before` (microseconds), the longest expired
    first, until that comes to some `most` rows.

    A thread whose history was pruned lives for another of its times to live from `now` on. `unfinished` is what the
    transaction before has left so. Several processes may do this at once: what one has locked, the others pass over.
    """
    done = Expired()
    removed = Removed()
    rows = conn.execute(_EXPIRED, {"before": before, "limit": min(limit, AT_ONCE)}).all()
    for thread_id, strategy, minutes in rows:
        if removed.rows >= most:
            done.more = True
            break
        if strategy == "keep_latest":
            began = unfinished is not None and unfinished[0] == thread_id
            place = unfinished[1] if unfinished is not None and began else checkpoints.BEGINNING
            count, following = _pruned(conn, thread_id, most - removed.rows, place)
            removed.rows += count + THREAD_COST
            if following is not None:
                done.unfinished, done.more = (thread_id, following), True
                break
            # Strictly after this sweep, so that it ends even if threads live for no time at all.
            _RENEW.run(conn, {"of_thread": thread_id, "new_expires_at": max(expiry(now, minutes), before + 1)})
            done.pruned.append(thread_id)
        elif not remove_thread(conn, thread_id, removed, most):
            done.more = True
            break
    else:
        done.more = len(rows) == min(limit, AT_ONCE)
    done.deleted, done.set_aside = removed.threads, removed.set_aside
    return done


def _pruned(
    conn: Connection, thread_id: str, most: int, place: checkpoints.Place
) -> tuple[int, checkpoints.Place | None]:
    """`checkpoints.keep_latest`; a thread that cannot be decrypted stays as it is, or it would keep the others from expiring."""
    try:
        return checkpoints.keep_latest(conn, thread_id, most, place)
    except SealBroken as error:
        log.warning("the history of a thread cannot be pruned", thread_id=thread_id, error=error.message)
        return 0, None
