"""Alembic's revisions, in order."""
