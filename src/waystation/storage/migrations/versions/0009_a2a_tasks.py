"""The tasks of A2A, and headers of their own for what is delivered about them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

Json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "a2a_tasks",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("assistant_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("pushes", Json, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.thread_id"], name=op.f("fk_a2a_tasks_thread_id_threads"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_a2a_tasks")),
    )
    op.create_index(op.f("ix_a2a_tasks_thread_id"), "a2a_tasks", ["thread_id"])
    op.create_index(op.f("ix_a2a_tasks_run_id"), "a2a_tasks", ["run_id"])
    op.create_index("ix_a2a_tasks_assistant_id_created_at", "a2a_tasks", ["assistant_id", "created_at"])
    op.add_column("webhook_deliveries", sa.Column("headers", sa.LargeBinary(), nullable=True))
