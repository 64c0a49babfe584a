"""Event streaming, version 2: commands, and one filtered stream of typed events for each thread (spec 13)."""
