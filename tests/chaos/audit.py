"""The database's own record of what happened to runs, and how it looks in the end."""

from __future__ import annotations

from typing import Any

import psycopg

__all__ = ["account_of", "keep_record", "unlinked_checkpoints", "unsettled_runs", "untidy_records"]

RECORD = """
CREATE TABLE chaos_record (
    number bigint GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT clock_timestamp(), run_id text,
    status text, settled_at bigint, attempt int, worker_id text
);
CREATE FUNCTION chaos_record() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos_record (run_id, status, settled_at, attempt, worker_id)
    VALUES (NEW.run_id, NEW.status, NEW.settled_at, NEW.attempt, NEW.worker_id);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_record AFTER INSERT OR UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION chaos_record();
"""

UNTIDY = """
WITH steps AS (
    SELECT *, lag(settled_at) OVER of_run AS settled_before, lag(attempt) OVER of_run AS attempt_before
    FROM chaos_record WINDOW of_run AS (PARTITION BY run_id ORDER BY number)
)
SELECT run_id, status, attempt, worker_id, at::text FROM steps
WHERE settled_before IS NOT NULL OR attempt < attempt_before
   OR (settled_at IS NOT NULL AND status NOT IN ('success', 'error', 'timeout', 'interrupted'))
"""

UNSETTLED = "SELECT run_id, status, worker_id, attempt FROM runs WHERE settled_at IS NULL OR worker_id IS NOT NULL"

UNLINKED = """
SELECT thread_id, ns, encode(c.checkpoint_id, 'hex'), 'has no parent' FROM checkpoints c JOIN checkpoint_threads USING (thread_key)
WHERE parent_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM checkpoints p WHERE (p.thread_key, p.ns, p.checkpoint_id) = (c.thread_key, c.ns, c.parent_id)
)
UNION ALL
SELECT thread_id, ns, coalesce(encode(parent_id, 'hex'), 'the beginning'), 'goes on in ' || count(*) || ' ways'
FROM checkpoints JOIN checkpoint_threads USING (thread_key) GROUP BY thread_id, ns, parent_id HAVING count(*) > 1
"""


def keep_record(uri: str) -> None:
    """From now on, write down every change of a run."""
    with psycopg.connect(uri) as connection:
        connection.execute(RECORD)


ACCOUNT = """
SELECT at::text, run_id, status, attempt, left(worker_id, 8), CASE WHEN settled_at IS NULL THEN '' ELSE 'settled' END
FROM chaos_record WHERE run_id IN (SELECT run_id FROM runs WHERE thread_id = %s) ORDER BY number
"""


def account_of(uri: str, thread_id: str) -> str:
    """All that happened to a thread's runs."""
    with psycopg.connect(uri) as connection:
        rows = connection.execute(ACCOUNT.encode(), (thread_id,)).fetchall()
    return "\n".join(" ".join(map(str, row)) for row in rows)


def untidy_records(uri: str) -> list[tuple[Any, ...]]:
    """Changes of runs that were over, that went back to an earlier attempt, or that ended in no final state."""
    return _rows(uri, UNTIDY)


def unsettled_runs(uri: str) -> list[tuple[Any, ...]]:
    """Runs that are not over, or that a worker holds."""
    return _rows(uri, UNSETTLED)


def unlinked_checkpoints(uri: str) -> list[tuple[Any, ...]]:
    """Where a history, of a thread or of a subgraph, is not one chain from its first checkpoint to its last."""
    return _rows(uri, UNLINKED)


def _rows(uri: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(uri) as connection:
        return connection.execute(query.encode()).fetchall()
