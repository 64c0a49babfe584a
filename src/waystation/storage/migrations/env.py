"""Run by Alembic: applies revisions on the connection, and in the transaction, of whoever started it."""

from __future__ import annotations

from alembic import context

from waystation.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
