"""Turning texts into vectors with what the project has for that.

All of it happens on one event loop of its own: an embedder that keeps connections may be asked from any loop and from plain
threads. What is synchronous runs in threads beside that loop, so that it holds up nobody.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from waystation.errors import EmbeddingFailed
from waystation.own_loop import OwnLoop

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

__all__ = ["Embedder", "Vector"]

log = structlog.get_logger("waystation.store")

Vector: TypeAlias = "array[float]"
"""Single-precision numbers, of length 1 taken together; all 0 where the embedder said so."""


class Embedder:
    """The project's embedder, whose vectors have `dims` numbers. Usable from any thread and event loop."""

    def __init__(self, embeddings: Embeddings, dims: int) -> None:
        self._embeddings = embeddings
        self._dims = dims
        self._loop = OwnLoop("waystation-embedder")

    def embed(self, documents: Sequence[str], queries: Sequence[str]) -> Future[tuple[list[Vector], list[Vector]]]:
        """The vectors of texts to be found, and of texts to search for. The future raises EmbeddingFailed."""
        return self._loop.run(self._embed(documents, queries))

    def close(self) -> None:
        """Embed no more. What is being embedded is given up."""
        self._loop.close()

    async def _embed(self, documents: Sequence[str], queries: Sequence[str]) -> tuple[list[Vector], list[Vector]]:
        found, *sought = await asyncio.gather(
            self._documents(documents), *(self._asked(self._embeddings.aembed_query(query)) for query in queries)
        )
        return self._checked(found, len(documents)), self._checked(sought, len(queries))

    async def _documents(self, texts: Sequence[str]) -> Any:
        return await self._asked(self._embeddings.aembed_documents(list(texts))) if texts else []

    async def _asked(self, answer: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await answer
        except Exception as error:
            log.exception("the embedder failed")
            raise EmbeddingFailed(
                f"The text could not be embedded: the project's embedder failed ({type(error).__name__}). "
                "The server's log has the details."
            ) from error

    def _checked(self, answer: Any, count: int) -> list[Vector]:
        try:
            vectors = [array("f", numbers) for numbers in answer]
        except (TypeError, ValueError, OverflowError) as error:
            raise EmbeddingFailed(
                "The project's embedder must return a list of vectors, which are lists of numbers."
            ) from error
        if len(vectors) != count:
            raise EmbeddingFailed(f"The project's embedder returned {len(vectors)} vectors for {count} texts.")
        return [self._normalised(vector) for vector in vectors]

    def _normalised(self, vector: Vector) -> Vector:
        if len(vector) != self._dims:
            raise EmbeddingFailed(
                f"The project's embedder returned a vector of {len(vector)} numbers; store.index.dims of langgraph.json "
                f"says {self._dims}. Set it to what the embedder returns."
            )
        length = math.hypot(*vector)
        if not math.isfinite(length):
            raise EmbeddingFailed("The project's embedder returned a vector with numbers that are not finite.")
        return array("f", [number / length for number in vector]) if length else vector
