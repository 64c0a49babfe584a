"""Alembic's environment and revisions; `waystation.storage.schema` runs them."""
