"""All tables, for both dialects. Migrations create them; `tests/storage` checks that the two agree.

Conventions: ids are lower-case UUID text; times are integer microseconds (`waystation.timestamps`); JSON is JSONB on
PostgreSQL and text on SQLite. Statements on the hot path are module-level constants in each feature's ``queries.py`` and
take ``bindparam``s: building a statement costs more than running it. Columns that may hold what users have said are `Sealed`.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TextClause,
    event,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from waystation.storage.labels import CREATE_LABELS, CREATE_METADATA_INDEX, DROP_LABELS
from waystation.storage.sealed_types import SealedBlob, SealedJson
from waystation.storage.sealing import (
    A2A_PUSHES,
    AGENT_FILE,
    AGENT_MANIFEST,
    AGENT_METADATA,
    AGENT_SETTINGS,
    ASSISTANT_CONFIG,
    ASSISTANT_CONTEXT,
    ASSISTANT_METADATA,
    CRON_METADATA,
    CRON_OWNER,
    CRON_PAYLOAD,
    EVENT,
    RUN_KWARGS,
    RUN_METADATA,
    RUN_RESULT,
    STORE_VALUE,
    THREAD_CONFIG,
    THREAD_ERROR,
    THREAD_INTERRUPTS,
    THREAD_METADATA,
    THREAD_TITLE,
    THREAD_VALUES,
    WEBHOOK_BODY,
    WEBHOOK_HEADERS,
)

__all__ = [
    "Json",
    "a2a_tasks",
    "api_keys",
    "assistant_versions",
    "assistants",
    "checkpoint_runs",
    "checkpoint_threads",
    "checkpoint_values",
    "checkpoint_writes",
    "checkpoints",
    "crons",
    "deep_agent_files",
    "deep_agent_revisions",
    "deep_agent_shares",
    "deep_agents",
    "events",
    "last_words",
    "mcp_servers",
    "mcp_tool_lists",
    "metadata",
    "runs",
    "store_indexes",
    "store_items",
    "threads",
    "webhook_deliveries",
]

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _partial_index(name: str, *columns: str, where: TextClause, unique: bool = False) -> Index:
    """An index on the rows for which the condition `where` holds."""
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


assistants = Table(
    "assistants",
    metadata,
    Column("assistant_id", Text, primary_key=True),
    Column("graph_id", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("config", SealedJson(ASSISTANT_CONFIG), nullable=False),
    Column("context", SealedJson(ASSISTANT_CONTEXT), nullable=False),
    Column("metadata", SealedJson(ASSISTANT_METADATA), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("updated_at", BigInteger, nullable=False),
    Column("workspace", Text, index=True),
)
"""An assistant without a workspace was made by the server and belongs to all."""

assistant_versions = Table(
    "assistant_versions",
    metadata,
    Column("assistant_id", Text, ForeignKey("assistants.assistant_id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("graph_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("config", SealedJson(ASSISTANT_CONFIG), nullable=False),
    Column("context", SealedJson(ASSISTANT_CONTEXT), nullable=False),
    Column("metadata", SealedJson(ASSISTANT_METADATA), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

OWNED = text("owner_id IS NOT NULL")
"""Of threads: of a Managed Deep Agent, and private."""

PINNED = text("is_pinned")

ATTENTION = text("NOT is_test_run AND (status = 'interrupted' OR status = 'error' OR (status = 'idle' AND unread))")
"""Of owned threads: somebody should look at them (MDA 9.4)."""

_OF_OWNER = ("workspace", "owner_id", "agent_id")
_BY_ACTIVITY = ("state_updated_at", "thread_id")

threads = Table(
    "threads",
    metadata,
    Column("thread_id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("rest_status", Text, nullable=False, server_default="idle"),
    Column("metadata", SealedJson(THREAD_METADATA), nullable=False),
    Column("config", SealedJson(THREAD_CONFIG), nullable=False),
    Column("values", SealedJson(THREAD_VALUES)),
    Column("interrupts", SealedJson(THREAD_INTERRUPTS), nullable=False),
    Column("error", SealedJson(THREAD_ERROR)),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("updated_at", BigInteger, nullable=False, index=True),
    Column("state_updated_at", BigInteger, nullable=False, index=True),
    Column("ttl_strategy", Text),
    Column("ttl_minutes", Float),
    Column("expires_at", BigInteger),
    Column("workspace", Text, nullable=False, server_default="default"),
    Column("owner_id", Text),
    Column("agent_id", Text),
    Column("title", SealedBlob(THREAD_TITLE, deferred=True)),
    Column("is_pinned", Boolean, nullable=False, server_default=false()),
    Column("is_test_run", Boolean, nullable=False, server_default=false()),
    Column("unread", Boolean, nullable=False, server_default=false()),
    Index("ix_threads_status_created_at", "status", "created_at"),
    Index("ix_threads_workspace_created_at", "workspace", "created_at", "owner_id"),
    _partial_index("ix_threads_expires_at", "expires_at", where=text("expires_at IS NOT NULL")),
    _partial_index("ix_threads_owner", *_OF_OWNER, "is_test_run", *_BY_ACTIVITY, where=OWNED),
    _partial_index("ix_threads_owner_status", *_OF_OWNER, "is_test_run", "status", *_BY_ACTIVITY, where=OWNED),
    _partial_index("ix_threads_owner_pinned", *_OF_OWNER, *_BY_ACTIVITY, where=text(f"{OWNED} AND {PINNED}")),
    _partial_index(
        "ix_threads_owner_attention",
        *_OF_OWNER,
        *_BY_ACTIVITY,
        *("status", "is_test_run", "unread"),
        where=text(f"{OWNED} AND {ATTENTION}"),
    ),
)
"""From `owner_id` on: of threads of Managed Deep Agents only (`waystation.threads.owned`). The owner is the one user who sees such a
thread. `title` is text as UTF-8. The last columns of the index for attention let SQLite count from it alone."""

_STORE_VALUES = """
DO $$ BEGIN
    IF EXISTS (SELECT 1 FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        ALTER TABLE threads ALTER COLUMN "values" SET COMPRESSION lz4;
    ELSE
        ALTER TABLE threads ALTER COLUMN "values" SET STORAGE EXTERNAL;
    END IF;
END $$
"""
"""Every run writes a thread's values anew, and PostgreSQL's own compression takes 40 ms for a megabyte: more than all the rest of a turn
on a long thread. Where the server has no better one they are stored as they are."""

for _when, _dialect, _statement in (
    ("after_create", "postgresql", _STORE_VALUES),
    *(("after_create", "sqlite", statement) for statement in CREATE_LABELS),
    *(("after_drop", "sqlite", statement) for statement in DROP_LABELS),
    ("after_create", "postgresql", CREATE_METADATA_INDEX),
):
    event.listen(threads, _when, DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]

UNSETTLED = text("settled_at IS NULL")
"""Of runs: not over yet. Indexes on these alone stay small however many runs there were."""

HELD = text("worker_id IS NOT NULL AND settled_at IS NULL")
"""Of runs: a worker has it."""

runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("thread_id", Text, ForeignKey("threads.thread_id", ondelete="CASCADE"), nullable=False),
    Column("assistant_id", Text, nullable=False),
    Column("graph_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("metadata", SealedJson(RUN_METADATA), nullable=False),
    Column("kwargs", SealedJson(RUN_KWARGS), nullable=False),
    Column("multitask_strategy", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("worker_id", Text),
    Column("lease_expires_at", BigInteger),
    Column("stop_action", Text),
    Column("stop_reason", Text),
    Column("started_at", BigInteger),
    Column("settled_at", BigInteger),
    Column("listener", Text),
    Column("handed_back", Integer, nullable=False, server_default="0"),
    Column("workspace", Text, nullable=False, server_default="default"),
    Index("ix_runs_thread_id_created_at", "thread_id", "created_at"),
    _partial_index("ix_runs_queue", "status", "created_at", where=UNSETTLED),
    _partial_index("ix_runs_unsettled", "thread_id", where=UNSETTLED),
    _partial_index("uq_runs_held", "thread_id", unique=True, where=HELD),
)
"""At most one run of a thread is held: should two workers ever disagree, the database refuses the second."""

events = Table(
    "events",
    metadata,
    Column("thread_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, index=True),
    Column("run_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("data", SealedBlob(EVENT), nullable=False),
    sqlite_with_rowid=False,
)
"""They refer to no row in `threads`: those of a temporary run may have to be read when its thread is gone."""

last_words = Table(
    "last_words",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("result", SealedBlob(RUN_RESULT), nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)
"""How temporary runs ended that are gone (`waystation.streams.last_words`)."""

TO_FIRE = text("enabled AND next_run_date IS NOT NULL")

crons = Table(
    "crons",
    metadata,
    Column("cron_id", Text, primary_key=True),
    Column("assistant_id", Text, ForeignKey("assistants.assistant_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("thread_id", Text, ForeignKey("threads.thread_id", ondelete="CASCADE"), index=True),
    Column("user_id", Text),
    Column("schedule", Text, nullable=False),
    Column("timezone", Text),
    Column("end_time", BigInteger),
    Column("payload", SealedJson(CRON_PAYLOAD), nullable=False),
    Column("next_run_date", BigInteger),
    Column("metadata", SealedJson(CRON_METADATA), nullable=False),
    Column("on_run_completed", Text),
    Column("enabled", Boolean, nullable=False),
    Column("owner", SealedJson(CRON_OWNER), nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("updated_at", BigInteger, nullable=False),
    Column("workspace", Text, nullable=False, server_default="default"),
    _partial_index("ix_crons_next_run_date", "next_run_date", where=TO_FIRE),
)
"""`owner` is the user whose cron it is (`waystation.auth.owner`); no client sees it."""

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("thread_id", Text, nullable=False),
    Column("run_id", Text, nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("body", SealedBlob(WEBHOOK_BODY, deferred=True)),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger),
    Column("log", Json, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("headers", SealedBlob(WEBHOOK_HEADERS, deferred=True)),
    _partial_index("ix_webhook_deliveries_due_at", "due_at", where=text("due_at IS NOT NULL")),
    _partial_index("ix_webhook_deliveries_finished_at", "finished_at", where=text("finished_at IS NOT NULL")),
)
"""Outlives its run and thread, which may be gone when the webhook is due. ``due_at`` is NULL once it is finished, and so is
``body``. A delivery with ``headers`` (JSON) is sent with these, and its body as it is."""

a2a_tasks = Table(
    "a2a_tasks",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("thread_id", Text, ForeignKey("threads.thread_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("assistant_id", Text, nullable=False),
    Column("run_id", Text, nullable=False, index=True),
    Column("message_id", Text),
    Column("pushes", SealedJson(A2A_PUSHES), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_a2a_tasks_assistant_id_created_at", "assistant_id", "created_at"),
)
"""`run_id` is the task's latest run, which may have been deleted; `message_id` that of the message it began with; `pushes` is a
list of `waystation.a2a.queries.Push`."""

EXPIRES = text("expires_at IS NOT NULL")

store_items = Table(
    "store_items",
    metadata,
    Column("namespace", Text().with_variant(Text(collation="C"), "postgresql"), primary_key=True),
    Column("key", Text().with_variant(Text(collation="C"), "postgresql"), primary_key=True),
    Column("value", SealedJson(STORE_VALUE), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("ttl_minutes", Float),
    Column("expires_at", BigInteger),
    Column("paths", Json),
    Column("embedded_by", BigInteger, nullable=False, server_default="0"),
    _partial_index("ix_store_items_expires_at", "expires_at", where=EXPIRES),
)
"""`paths` is what of the value is embedded: a list of JSON paths, ``false``, or NULL for those of the configuration. `embedded_by`
is the generation of `store_indexes` that the item's vectors are of; 0 for none. (The vectors' own table is made when an index
is configured: `waystation.store.semantic.tables`.)"""

Key = BigInteger().with_variant(Integer, "sqlite")
"""An integer that the database assigns: SQLite does so only for columns of just this type."""

store_indexes = Table(
    "store_indexes",
    metadata,
    Column("generation", Key, primary_key=True, autoincrement=True),
    Column("embed", Text, nullable=False),
    Column("dims", Integer, nullable=False),
    Column("fields", Json, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("leased_until", BigInteger, nullable=False),
)
"""Each configuration of ``store.index`` that there was, the last one in force. Whoever holds the lease embeds what was stored
under an earlier one."""

ExactText = Text().with_variant(Text(collation="C"), "postgresql")
"""Text in the order of its code points, which is the same on every database."""

deep_agents = Table(
    "deep_agents",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("folded_name", ExactText, nullable=False),
    Column("visibility", Text, nullable=False),
    Column("settings", SealedJson(AGENT_SETTINGS), nullable=False),
    Column("metadata", SealedJson(AGENT_METADATA), nullable=False),
    Column("version", Integer, nullable=False),
    Column("revision", Text, nullable=False),
    Column("revision_number", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False, index=True),
    *(
        Index(f"ix_deep_agents_{scope[-1]}_{key}", *scope, key, "agent_id", *({"folded_name"} - {key}))
        for scope in (("workspace",), ("workspace", "owner_id"))
        for key in ("created_at", "updated_at", "folded_name")
    ),
)
"""Each index has the name as well, so that a search for names reads no rows but those it finds. `version` counts the changes, for
whoever has to know whether there was one. `metadata` is what a project's authorization handlers have put there."""

deep_agent_shares = Table(
    "deep_agent_shares",
    metadata,
    Column("agent_id", Text, ForeignKey("deep_agents.agent_id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Text, primary_key=True, index=True),
)
"""With which users agents are shared, for searches; `settings` says how."""

deep_agent_revisions = Table(
    "deep_agent_revisions",
    metadata,
    Column("agent_id", Text, ForeignKey("deep_agents.agent_id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("revision", Text, nullable=False),
    Column("manifest", SealedJson(AGENT_MANIFEST), nullable=False),
    Column("author_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_deep_agent_revisions_revision", "agent_id", "revision"),
)
"""Every tree that an agent has had. `manifest` has the digest of each path's content, `revision` is the digest of that."""

deep_agent_files = Table(
    "deep_agent_files",
    metadata,
    Column("agent_id", Text, ForeignKey("deep_agents.agent_id", ondelete="CASCADE"), primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("content", SealedBlob(AGENT_FILE), nullable=False),
)
"""What the files of all revisions of an agent contain, once for each content."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("workspace", Text, nullable=False),
    Column("user_id", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),
)
"""Of a key only what it begins with (`key_id`) and a digest are stored. One without a user is a service's."""

mcp_servers = Table(
    "mcp_servers",
    metadata,
    Column("server_id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("url_key", Text, nullable=False),
    Column("headers", LargeBinary),
    Column("auth_type", Text, nullable=False),
    Column("oauth_mode", Text, nullable=False),
    Column("oauth_provider_id", Text),
    Column("vendor_id", Text),
    Column("external_system_id", Text),
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index("uq_mcp_servers_workspace_url_key", "workspace", "url_key", unique=True),
)
"""`headers` are credentials: JSON that a `waystation.secrets.SecretBox` has encrypted; NULL for none. `url_key` is what URLs are
compared by. `version` grows with every change of what a connection depends on."""

mcp_tool_lists = Table(
    "mcp_tool_lists",
    metadata,
    Column("server_id", Text, ForeignKey("mcp_servers.server_id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("tools", LargeBinary, nullable=False),
    Column("fetched_at", BigInteger, nullable=False),
)
"""What a server said it offers, as JSON. Good for the server's `version` of then only."""

checkpoint_threads = Table(
    "checkpoint_threads",
    metadata,
    Column("thread_key", Key, primary_key=True, autoincrement=True),
    Column("thread_id", Text, nullable=False, unique=True),
)
"""Short keys for threads with checkpoints, which need no row in `threads`. Rows of a new thread go to the ends of the
tables below instead of all over them."""

checkpoint_runs = Table(
    "checkpoint_runs",
    metadata,
    Column("thread_key", BigInteger, primary_key=True, autoincrement=False),
    Column("run_key", BigInteger, primary_key=True, autoincrement=False),
    Column("run_id", LargeBinary),
    Column("metadata", LargeBinary, nullable=False),
    _partial_index("ix_checkpoint_runs_run_id", "run_id", where=text("run_id IS NOT NULL")),
    sqlite_with_rowid=False,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("thread_key", BigInteger, primary_key=True, autoincrement=False),
    Column("ns", Text, primary_key=True),
    Column("checkpoint_id", LargeBinary, primary_key=True),
    Column("parent_id", LargeBinary),
    Column("run_key", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

checkpoint_values = Table(
    "checkpoint_values",
    metadata,
    Column("thread_key", BigInteger, primary_key=True, autoincrement=False),
    Column("ns", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("base", BigInteger),
    Column("run_key", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

checkpoint_writes = Table(
    "checkpoint_writes",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=True),
    Column("thread_key", BigInteger, nullable=False),
    Column("ns", Text, nullable=False),
    Column("checkpoint_id", LargeBinary, nullable=False),
    Column("run_key", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("ix_checkpoint_writes_checkpoint", "thread_key", "ns", "checkpoint_id"),
)
