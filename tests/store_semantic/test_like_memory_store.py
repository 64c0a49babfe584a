"""A search by meaning gives what LangGraph's own in-memory store gives."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.store.base import BaseStore, PutOp
from langgraph.store.memory import InMemoryStore

from tests.store_semantic.conftest import Opened
from waystation.storage.database import Database

VALUES: list[dict[str, Any]] = [
    {"title": "apple cat", "facts": ["rain", "snow song"], "n": 1},
    {"title": "apple", "facts": [], "n": 2},
    {"title": "stone", "facts": ["jazz", "dog dog apple"], "n": 3},
    {"facts": ["pear rain"], "author": {"name": "a violin"}, "n": 4},
    {"title": 55, "facts": [{"text": "horse"}, "sun sun cat"], "n": 5},
    {"n": 6},
]
INDEXES: list[Any] = [
    None,
    False,
    ["title"],
    ["facts[*]"],
    ["author.name", "facts[0]"],
    ["{title,n}"],
    ["facts[-1].text"],
]


@pytest.mark.parametrize("fields", [("$",), ("title", "facts[*]"), ("*",), ("missing",)])
async def test_same_scores(db: Database, opened: Opened, embedders: Any, fields: tuple[str, ...]) -> None:
    store = opened(db, "embed", *fields)
    memory = InMemoryStore(index={"dims": 4, "embed": embedders.vector_of_each, "fields": list(fields)})
    puts = [
        PutOp((f"n{position % 2}", "x"), f"{number}-{position}", value, index)
        for number, value in enumerate(VALUES)
        for position, index in enumerate(INDEXES)
    ]

    async def answer(asked: BaseStore, prefix: tuple[str, ...], **search: Any) -> list[Any]:
        found = await asked.asearch(prefix, limit=100, **search)
        scores = [(item.key, None if item.score is None else round(item.score, 4)) for item in found]
        return sorted(scores, key=lambda each: (each[1] is None, -(each[1] or 0), each[0]))

    for each in puts:  # that store mixes up texts that several items of a batch have in common
        memory.batch([each])
    await store.abatch(puts)
    for query in ("banana", "rain horse", "a song"):
        for prefix in ((), ("n1",)):
            for wanted in (None, {"n": {"$gte": 3}}):
                search: Any = {"query": query, "filter": wanted}
                assert await answer(store, prefix, **search) == await answer(memory, prefix, **search)
