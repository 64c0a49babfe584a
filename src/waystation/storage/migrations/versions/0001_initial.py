"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
BinaryText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

SQLITE_LABELS = (
    """CREATE TABLE thread_labels (
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        thread_id TEXT NOT NULL,
        PRIMARY KEY (key, value, created_at, thread_id)
    ) WITHOUT ROWID""",
    """CREATE TRIGGER thread_labels_insert AFTER INSERT ON threads
    WHEN NEW.metadata <> '{}'
    BEGIN
        INSERT INTO thread_labels (key, value, created_at, thread_id)
        SELECT key, CASE type
            WHEN 'text' THEN '"' || substr(value, 1, 200)
            WHEN 'integer' THEN iif(value = CAST(value AS INTEGER), '#', '~') || CAST(value AS INTEGER)
            WHEN 'real' THEN iif(value = CAST(value AS INTEGER), '#', '~') || CAST(value AS INTEGER)
            ELSE type
        END, NEW.created_at, NEW.thread_id FROM json_each(NEW.metadata)
        WHERE type NOT IN ('object', 'array');
    END""",
    """CREATE TRIGGER thread_labels_update AFTER UPDATE OF metadata, created_at ON threads
    WHEN OLD.metadata <> NEW.metadata OR OLD.created_at <> NEW.created_at
    BEGIN
        DELETE FROM thread_labels WHERE (key, value, created_at, thread_id) IN (
        SELECT key, CASE type
            WHEN 'text' THEN '"' || substr(value, 1, 200)
            WHEN 'integer' THEN iif(value = CAST(value AS INTEGER), '#', '~') || CAST(value AS INTEGER)
            WHEN 'real' THEN iif(value = CAST(value AS INTEGER), '#', '~') || CAST(value AS INTEGER)
            ELSE type
        END, OLD.created_at, OLD.thread_id FROM json_each(OLD.metadata)
        WHERE type NOT IN ('object', 'array')
    );
        INSERT INTO thread_labels (key, value, created_at, thread_id)
        SELECT key, CASE type
            WHEN 'text' THEN '"' || substr(value, 1, 200)
            WHEN 'integer' THEN iif(value = CAST(value AS INTEGER), '#', '~') || CAST(value AS INTEGER)
            WHEN 'real' THEN iif(value = CAST(value AS INTEGER), '#', '~') || CAST(value AS INTEGER)
            ELSE type
        END, NEW.created_at, NEW.thread_id FROM json_each(NEW.metadata)
        WHERE type NOT IN ('object', 'array');
    END""",
    """CREATE TRIGGER thread_labels_delete AFTER DELETE ON threads
    WHEN OLD.metadata <> '{}'
    BEGIN
        DELETE FROM thread_labels WHERE (key, value, created_at, thread_id) IN (
        SELECT key, CASE type
            WHEN 'text' THEN '"' || substr(value, 1, 200)
            WHEN 'integer' THEN iif(value = CAST(value AS INTEGER), '#', '~') || CAST(value AS INTEGER)
            WHEN 'real' THEN iif(value = CAST(value AS INTEGER), '#', '~') || CAST(value AS INTEGER)
            ELSE type
        END, OLD.created_at, OLD.thread_id FROM json_each(OLD.metadata)
        WHERE type NOT IN ('object', 'array')
    );
    END""",
)
POSTGRESQL_INDEX = (
    "CREATE INDEX ix_threads_metadata ON threads USING gin (metadata jsonb_path_ops) WITH (fastupdate = off)"
)


def upgrade() -> None:
    _create_assistants()
    _create_checkpoint_runs()
    _create_checkpoint_threads()
    _create_checkpoint_values()
    _create_checkpoint_writes()
    _create_checkpoints()
    _create_store_items()
    _create_threads()
    _create_assistant_versions()
    _create_events()
    _create_runs()


def _create_assistants() -> None:
    op.create_table(
        "assistants",
        sa.Column("assistant_id", sa.Text(), nullable=False),
        sa.Column("graph_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("config", Json, nullable=False),
        sa.Column("context", Json, nullable=False),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("assistant_id", name=op.f("pk_assistants")),
    )
    op.create_index(op.f("ix_assistants_created_at"), "assistants", ["created_at"], unique=False)
    op.create_index(op.f("ix_assistants_graph_id"), "assistants", ["graph_id"], unique=False)


def _create_checkpoint_runs() -> None:
    op.create_table(
        "checkpoint_runs",
        sa.Column("thread_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run_id", sa.LargeBinary(), nullable=True),
        sa.Column("metadata", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("thread_key", "run_key", name=op.f("pk_checkpoint_runs")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_checkpoint_runs_run_id",
        "checkpoint_runs",
        ["run_id"],
        unique=False,
        sqlite_where=sa.text("run_id IS NOT NULL"),
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )


def _create_checkpoint_threads() -> None:
    op.create_table(
        "checkpoint_threads",
        sa.Column("thread_key", Key, autoincrement=True, nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("thread_key", name=op.f("pk_checkpoint_threads")),
        sa.UniqueConstraint("thread_id", name=op.f("uq_checkpoint_threads_thread_id")),
    )


def _create_checkpoint_values() -> None:
    op.create_table(
        "checkpoint_values",
        sa.Column("thread_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ns", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=True),
        sa.Column("run_key", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("thread_key", "ns", "channel", "version", name=op.f("pk_checkpoint_values")),
    )


def _create_checkpoint_writes() -> None:
    op.create_table(
        "checkpoint_writes",
        sa.Column("id", Key, autoincrement=True, nullable=False),
        sa.Column("thread_key", sa.BigInteger(), nullable=False),
        sa.Column("ns", sa.Text(), nullable=False),
        sa.Column("checkpoint_id", sa.LargeBinary(), nullable=False),
        sa.Column("run_key", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoint_writes")),
    )
    op.create_index(
        "ix_checkpoint_writes_checkpoint", "checkpoint_writes", ["thread_key", "ns", "checkpoint_id"], unique=False
    )


def _create_checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("thread_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ns", sa.Text(), nullable=False),
        sa.Column("checkpoint_id", sa.LargeBinary(), nullable=False),
        sa.Column("parent_id", sa.LargeBinary(), nullable=True),
        sa.Column("run_key", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("thread_key", "ns", "checkpoint_id", name=op.f("pk_checkpoints")),
        sqlite_with_rowid=False,
    )


def _create_store_items() -> None:
    op.create_table(
        "store_items",
        sa.Column("namespace", BinaryText, nullable=False),
        sa.Column("key", BinaryText, nullable=False),
        sa.Column("value", Json, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("ttl_minutes", sa.Float(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("namespace", "key", name=op.f("pk_store_items")),
    )
    op.create_index(
        "ix_store_items_expires_at",
        "store_items",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )


def _create_threads() -> None:
    op.create_table(
        "threads",
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("rest_status", sa.Text(), server_default="idle", nullable=False),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("config", Json, nullable=False),
        sa.Column("values", Json, nullable=True),
        sa.Column("interrupts", Json, nullable=False),
        sa.Column("error", Json, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("state_updated_at", sa.BigInteger(), nullable=False),
        sa.Column("ttl_strategy", sa.Text(), nullable=True),
        sa.Column("ttl_minutes", sa.Float(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("thread_id", name=op.f("pk_threads")),
    )
    op.create_index(op.f("ix_threads_created_at"), "threads", ["created_at"], unique=False)
    op.create_index(
        "ix_threads_expires_at",
        "threads",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index(op.f("ix_threads_state_updated_at"), "threads", ["state_updated_at"], unique=False)
    op.create_index("ix_threads_status_created_at", "threads", ["status", "created_at"], unique=False)
    op.create_index(op.f("ix_threads_updated_at"), "threads", ["updated_at"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        for statement in SQLITE_LABELS:
            op.execute(statement)
    else:
        op.execute(POSTGRESQL_INDEX)


def _create_assistant_versions() -> None:
    op.create_table(
        "assistant_versions",
        sa.Column("assistant_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("graph_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("config", Json, nullable=False),
        sa.Column("context", Json, nullable=False),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["assistant_id"],
            ["assistants.assistant_id"],
            name=op.f("fk_assistant_versions_assistant_id_assistants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("assistant_id", "version", name=op.f("pk_assistant_versions")),
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.thread_id"], name=op.f("fk_events_thread_id_threads"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("thread_id", "position", name=op.f("pk_events")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_events_position"), "events", ["position"], unique=False)


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("assistant_id", sa.Text(), nullable=False),
        sa.Column("graph_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("kwargs", Json, nullable=False),
        sa.Column("multitask_strategy", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("stop_action", sa.Text(), nullable=True),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["threads.thread_id"], name=op.f("fk_runs_thread_id_threads"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
    )
    op.create_index(
        "ix_runs_queue",
        "runs",
        ["status", "created_at"],
        unique=False,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
    op.create_index("ix_runs_thread_id_created_at", "runs", ["thread_id", "created_at"], unique=False)
    op.create_index(
        "ix_runs_unsettled",
        "runs",
        ["thread_id"],
        unique=False,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )
