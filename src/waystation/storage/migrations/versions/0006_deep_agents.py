"""Managed Deep Agents: their definitions, and every revision of these."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

Json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
ExactText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "deep_agents",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded_name", ExactText, nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("settings", Json, nullable=False),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("revision_number", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", name="pk_deep_agents"),
    )
    op.create_index("ix_deep_agents_updated_at", "deep_agents", ["updated_at"])
    for scope in (["workspace"], ["workspace", "owner_id"]):
        for key, more in (("created_at", ["folded_name"]), ("updated_at", ["folded_name"]), ("folded_name", [])):
            op.create_index(f"ix_deep_agents_{scope[-1]}_{key}", "deep_agents", [*scope, key, "agent_id", *more])
    op.create_table(
        "deep_agent_shares",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        _of_agent("deep_agent_shares"),
        sa.PrimaryKeyConstraint("agent_id", "user_id", name="pk_deep_agent_shares"),
    )
    op.create_index("ix_deep_agent_shares_user_id", "deep_agent_shares", ["user_id"])
    op.create_table(
        "deep_agent_revisions",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("manifest", Json, nullable=False),
        sa.Column("author_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        _of_agent("deep_agent_revisions"),
        sa.PrimaryKeyConstraint("agent_id", "number", name="pk_deep_agent_revisions"),
    )
    op.create_index("ix_deep_agent_revisions_revision", "deep_agent_revisions", ["agent_id", "revision"])
    op.create_table(
        "deep_agent_files",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        _of_agent("deep_agent_files"),
        sa.PrimaryKeyConstraint("agent_id", "digest", name="pk_deep_agent_files"),
    )


def _of_agent(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["agent_id"], ["deep_agents.agent_id"], name=f"fk_{table}_agent_id_deep_agents", ondelete="CASCADE"
    )
