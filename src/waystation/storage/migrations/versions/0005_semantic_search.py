"""Semantic search of the store: which index an item was embedded for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "store_indexes",
        sa.Column("generation", Key, autoincrement=True, nullable=False),
        sa.Column("embed", sa.Text(), nullable=False),
        sa.Column("dims", sa.Integer(), nullable=False),
        sa.Column("fields", Json, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("generation", name="pk_store_indexes"),
    )
    op.add_column("store_items", sa.Column("paths", Json))
    op.add_column("store_items", sa.Column("embedded_by", sa.BigInteger(), nullable=False, server_default="0"))
