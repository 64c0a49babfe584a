"""Workspaces, and the API keys that lead to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MADE_BY_THE_SERVER = {
    "sqlite": "json_extract(metadata, '$.created_by') = 'system'",
    "postgresql": "metadata ->> 'created_by' = 'system'",
}
"""Anybody may write that; but the ids of such assistants are hashes (version 5), which clients do not make by chance."""


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
    )
    for table in ("threads", "runs"):
        op.add_column(table, sa.Column("workspace", sa.Text(), nullable=False, server_default="default"))
    op.create_index("ix_threads_workspace_created_at", "threads", ["workspace", "created_at"])
    op.add_column("assistants", sa.Column("workspace", sa.Text()))
    op.create_index("ix_assistants_workspace", "assistants", ["workspace"])
    own = f"{MADE_BY_THE_SERVER[op.get_bind().dialect.name]} AND substr(assistant_id, 15, 1) = '5'"
    op.execute(f"UPDATE assistants SET workspace = 'default' WHERE NOT coalesce({own}, false)")
    # The stored form of a namespace begins with the workspace, as its first label.
    op.execute(sa.text("UPDATE store_items SET namespace = :label || namespace").bindparams(label="default\t"))
