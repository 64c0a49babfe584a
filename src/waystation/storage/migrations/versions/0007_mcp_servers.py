"""MCP servers that agents take tools from, and what each said it offers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mcp_servers",
        sa.Column("server_id", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("url_key", sa.Text(), nullable=False),
        sa.Column("headers", sa.LargeBinary()),
        sa.Column("auth_type", sa.Text(), nullable=False),
        sa.Column("oauth_mode", sa.Text(), nullable=False),
        sa.Column("oauth_provider_id", sa.Text()),
        sa.Column("vendor_id", sa.Text()),
        sa.Column("external_system_id", sa.Text()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", name="pk_mcp_servers"),
    )
    op.create_index("uq_mcp_servers_workspace_url_key", "mcp_servers", ["workspace", "url_key"], unique=True)
    op.create_table(
        "mcp_tool_lists",
        sa.Column("server_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tools", sa.LargeBinary(), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", name="pk_mcp_tool_lists"),
        sa.ForeignKeyConstraint(
            ["server_id"],
            ["mcp_servers.server_id"],
            name="fk_mcp_tool_lists_server_id_mcp_servers",
            ondelete="CASCADE",
        ),
    )
