"""Threads of agents: rows of `threads` that only their owner sees (MDA 9)."""
