"""Threads: conversations, their rows, their state and their history (spec 3, 4)."""

from waystation.threads.queries import require as require_thread

__all__ = ["require_thread"]
