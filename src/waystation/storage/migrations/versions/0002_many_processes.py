"""Who listens to a run, how often a shutdown handed it back; at most one held run on a thread; what outlives a temporary run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

HELD = sa.text("worker_id IS NOT NULL AND settled_at IS NULL")


def upgrade() -> None:
    op.add_column("runs", sa.Column("listener", sa.Text()))
    op.add_column("runs", sa.Column("handed_back", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("uq_runs_held", "runs", ["thread_id"], unique=True, sqlite_where=HELD, postgresql_where=HELD)
    op.create_table(
        "last_words",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_last_words")),
    )
    op.create_index(op.f("ix_last_words_expires_at"), "last_words", ["expires_at"])
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("fk_events_thread_id_threads", "events")
    else:
        _events_without_reference()


def _events_without_reference() -> None:
    """SQLite cannot drop a constraint: the table is made anew."""
    op.drop_index("ix_events_position", "events")
    op.rename_table("events", "former_events")
    op.create_table(
        "events",
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("thread_id", "position", name=op.f("pk_events")),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO events SELECT thread_id, position, run_id, name, data FROM former_events")
    op.drop_table("former_events")
    op.create_index(op.f("ix_events_position"), "events", ["position"])
