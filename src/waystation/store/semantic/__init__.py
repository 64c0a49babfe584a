"""Semantic search: items of the store by the meaning of their texts (spec 10, 19)."""
