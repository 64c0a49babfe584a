"""The index of the store: which texts of an item are embedded, and which items are nearest to a query."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langgraph.store.base.embed import get_text_at_path
from msgspec import Struct, field
from sqlalchemy import Connection, and_, exists

from waystation.storage.tables import store_items
from waystation.store import queries
from waystation.store.queries import ItemRow, Matching
from waystation.store.semantic.embedder import Embedder, Vector
from waystation.store.semantic.tables import store_vectors
from waystation.store.semantic.vectors import Vectors, replace

__all__ = ["Embedded", "Index"]


MOST = 2**40
"""Items that are ranked at most: more than there are, and computable with in 64 bits."""


class Embedded(Struct, frozen=True):
    """Texts with their vectors."""

    documents: Mapping[str, Vector] = field(default_factory=dict)
    queries: Mapping[str, Vector] = field(default_factory=dict)


class Index:
    """Semantic search as the project has configured it. Shared by every view of the store."""

    def __init__(self, fields: Sequence[str], embedder: Embedder, vectors: Vectors) -> None:
        """`fields` are the JSON paths of what is embedded of an item that does not say so itself."""
        self._fields = tuple(fields)
        self._embedder = embedder
        self._vectors = vectors
        self.generation = vectors.generation
        self._has_score = and_(
            store_items.c.embedded_by == self.generation,
            exists().where(
                store_vectors.c.namespace == store_items.c.namespace,
                store_vectors.c.key == store_items.c.key,
                store_vectors.c.generation == self.generation,
            ),
        )

    def texts(self, value: Mapping[str, Any], paths: Sequence[str] | Literal[False] | None) -> list[str]:
        """What is embedded of the JSON object `value`, each text once: at `paths`, or at the configured ones if that is None."""
        if paths is False:
            return []
        found = (text for path in (self._fields if paths is None else paths) for text in get_text_at_path(value, path))
        return list(dict.fromkeys(text for text in found if text.strip()))

    async def embed(self, documents: Sequence[str], queries: Sequence[str] = ()) -> Embedded:
        """The vectors of all texts. Raises EmbeddingFailed."""
        answer = await asyncio.wrap_future(self._embedder.embed(documents, queries))
        return _together(documents, queries, answer)

    def embed_blocking(self, documents: Sequence[str], queries: Sequence[str] = ()) -> Embedded:
        """`embed` for code that may wait."""
        return _together(documents, queries, self._embedder.embed(documents, queries).result())

    def replace(self, conn: Connection, items: Mapping[tuple[str, str], Sequence[Vector]]) -> None:
        """Let each item, by stored namespace and key, have these vectors and no others."""
        replace(conn, self._vectors, items)

    def search(self, query: Vector, conn: Connection, matching: Matching, limit: int, offset: int) -> list[ItemRow]:
        """A page of the matching items, the most similar first. Those without vectors come last, the latest update first."""
        wanted = min(offset + limit, MOST)
        scored = self._vectors.nearest(conn, query, matching, wanted)
        items = queries.items_at(conn, [item.place for item in scored[offset:]])
        page = [
            items[item.place]._replace(score=max(-1.0, min(1.0, item.score)))  # for sums that were rounded
            for item in scored[offset:]
        ]
        if len(scored) < wanted:
            rest, past = limit - len(page), max(0, offset - len(scored))
            page += queries.search_items(conn, matching, rest, past, without=self._has_score)
        return page

    def close(self) -> None:
        """Embed no more."""
        self._embedder.close()


def _together(
    documents: Sequence[str], queries: Sequence[str], answer: tuple[Sequence[Vector], Sequence[Vector]]
) -> Embedded:
    found, sought = answer
    return Embedded(dict(zip(documents, found, strict=True)), dict(zip(queries, sought, strict=True)))
