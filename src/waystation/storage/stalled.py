"""Transactions of processes that were stopped in the middle of one: whatever they have locked stays locked.

PostgreSQL ends a transaction that is idle (``idle_in_transaction_session_timeout``). One whose client was stopped between two
statements of a pipeline is not idle for it, but active: no time-out of PostgreSQL 15 or 16 applies.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

__all__ = ["end_stalled"]

_END = text("""
    SELECT count(pg_terminate_backend(pid))
    FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name = 'waystation'
      AND pid <> pg_backend_pid() AND state <> 'idle' AND wait_event = 'ClientRead'
      AND state_change < clock_timestamp() - make_interval(secs => :after_s)
""")


def end_stalled(conn: Connection, after_s: float) -> int:
    """Close the connections of this database on which a transaction has been waiting for its process for `after_s` seconds;
    how many there were. Their processes, if they go on, connect anew and do the work again."""
    if conn.dialect.name != "postgresql":
        return 0
    return int(conn.execute(_END, {"after_s": after_s}).scalar_one())
