"""The store: long-term memory of graphs, items by namespace and key (spec 10)."""
