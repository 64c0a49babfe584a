"""The values of a thread, which every run writes anew, are no longer compressed by PostgreSQL's slow method."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STORE_VALUES = """
DO $$ BEGIN
    IF EXISTS (SELECT 1 FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        ALTER TABLE threads ALTER COLUMN "values" SET COMPRESSION lz4;
    ELSE
        ALTER TABLE threads ALTER COLUMN "values" SET STORAGE EXTERNAL;
    END IF;
END $$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(STORE_VALUES)
