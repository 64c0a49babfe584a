"""Threads of Managed Deep Agents: whose they are, and what lists of them are filtered by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

OWNED = "owner_id IS NOT NULL"
PINNED = "is_pinned"
ATTENTION = "NOT is_test_run AND (status = 'interrupted' OR status = 'error' OR (status = 'idle' AND unread))"

OF_OWNER = ["workspace", "owner_id", "agent_id"]
BY_ACTIVITY = ["state_updated_at", "thread_id"]


def upgrade() -> None:
    op.add_column("threads", sa.Column("owner_id", sa.Text()))
    op.add_column("threads", sa.Column("agent_id", sa.Text()))
    op.add_column("threads", sa.Column("title", sa.LargeBinary()))
    for name in ("is_pinned", "is_test_run", "unread"):
        op.add_column("threads", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.drop_index("ix_threads_workspace_created_at", "threads")
    op.create_index("ix_threads_workspace_created_at", "threads", ["workspace", "created_at", "owner_id"])
    _index("ix_threads_owner", [*OF_OWNER, "is_test_run", *BY_ACTIVITY], OWNED)
    _index("ix_threads_owner_status", [*OF_OWNER, "is_test_run", "status", *BY_ACTIVITY], OWNED)
    _index("ix_threads_owner_pinned", [*OF_OWNER, *BY_ACTIVITY], f"{OWNED} AND {PINNED}")
    attention = [*OF_OWNER, *BY_ACTIVITY, "status", "is_test_run", "unread"]
    _index("ix_threads_owner_attention", attention, f"{OWNED} AND {ATTENTION}")


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "threads", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
