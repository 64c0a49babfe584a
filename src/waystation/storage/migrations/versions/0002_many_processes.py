"""Who listens to a run, how often a shutdown handed it back; at most one held run on a thread."""

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
