"""What is left of a temporary run that was followed from another process, for a minute.

Such a run goes together with its thread as soon as it is settled. Its end travels on the bus, which may lose it; whoever
misses it finds here how the run ended. Only those read this who followed the run while it was there, and so may see it.
The events of a resumable one stay as well, for as long as those of any run (`waystation.streams.queries`).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, insert, select

from waystation.encoding import decode, encode
from waystation.storage.prepared import Prepared
from waystation.storage.tables import last_words
from waystation.timestamps import MICROSECONDS

__all__ = ["LastWords", "find", "forget", "leave", "statuses"]

KEPT_S = 60
"""How long they are kept. Consumers look every few seconds (`waystation.streams.looks`)."""

_LEAVE = Prepared(insert(last_words), ("run_id", "status", "result", "expires_at"))
_FIND = select(last_words.c.status, last_words.c.result).where(last_words.c.run_id == bindparam("run_id"))
_STATUSES = select(last_words.c.run_id, last_words.c.status).where(
    last_words.c.run_id.in_(bindparam("run_ids", expanding=True))
)
_expired = (
    select(last_words.c.run_id)
    .where(last_words.c.expires_at < bindparam("now"))
    .order_by(last_words.c.expires_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_FORGET = delete(last_words).where(last_words.c.run_id.in_(_expired))


class LastWords(Struct, frozen=True):
    """How a run ended."""

    status: str
    result: bytes
    """What a waiting client gets: JSON."""

    @property
    def error(self) -> bytes | None:
        """What the ``error`` event of a run that failed says: JSON."""
        return encode(decode(self.result)["__error__"]) if self.status == "error" else None


def leave(conn: Connection, run_id: str, status: str, result: bytes, now: int) -> None:
    """Keep how a run ended, in the transaction that removes it."""
    _LEAVE.run(conn, {"run_id": run_id, "status": status, "result": result, "expires_at": now + KEPT_S * MICROSECONDS})


def find(conn: Connection, run_id: str) -> LastWords | None:
    """How a run that is gone has ended, if that is known."""
    row = conn.execute(_FIND, {"run_id": run_id}).first()
    return None if row is None else LastWords(row.status, row.result)


def statuses(conn: Connection, run_ids: Sequence[str]) -> dict[str, str]:
    """The final status of those runs among the given ones that are gone and have left it."""
    return {row.run_id: row.status for row in conn.execute(_STATUSES, {"run_ids": list(run_ids)})}


def forget(conn: Connection, now: int, limit: int) -> int:
    """Delete at most `limit` that have been kept long enough by `now` (microseconds); returns how many."""
    return conn.execute(_FORGET, {"now": now, "limit": limit}).rowcount
