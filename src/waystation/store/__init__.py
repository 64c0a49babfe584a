"""The store: long-term memory of graphs, items by namespace and key (spec 10)."""

from __future__ import annotations

from waystation.store.custom import CustomStore
from waystation.store.store import Store
from waystation.store.sweeper import sweep_regularly

__all__ = ["CustomStore", "Store", "sweep_regularly"]
