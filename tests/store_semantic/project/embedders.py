"""Embedders that need no model: a vector counts the words of a text that are about each of some topics."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from typing import Any

from langchain_core.embeddings import Embeddings

TOPICS = ("fruit", "animal", "weather", "music")
WORDS = {
    **dict.fromkeys(("fruit", "apple", "banana", "pear"), 0),
    **dict.fromkeys(("animal", "cat", "dog", "horse"), 1),
    **dict.fromkeys(("weather", "rain", "sun", "snow"), 2),
    **dict.fromkeys(("music", "song", "violin", "jazz"), 3),
}
SECRET = "sk-the-key-of-the-model"

calls: list[list[str]] = []
"""The texts of each call."""
threads: list[str] = []
"""The thread of each call."""


def vector(text: str) -> list[float]:
    counts = [0.0] * len(TOPICS)
    for word in re.findall(r"\w+", text.lower()):
        if word in WORDS:
            counts[WORDS[word]] += 1
    return counts


def embed(texts: Sequence[str]) -> list[list[float]]:
    calls.append(list(texts))
    threads.append(threading.current_thread().name)
    if any("poison" in text for text in texts):
        raise ConnectionError(f"no answer with {SECRET}")
    return [vector(text) for text in texts]


def vector_of_each(texts: Sequence[str]) -> list[list[float]]:
    return [vector(text) for text in texts]


async def embed_later(texts: Sequence[str]) -> list[list[float]]:
    await asyncio.sleep(0)
    return embed(texts)


def backwards(texts: Sequence[str]) -> list[list[float]]:
    """Another embedder: everything is about the topic opposite to its own."""
    return [list(reversed(vector(text))) for text in texts]


def too_long(texts: Sequence[str]) -> list[list[float]]:
    return [[*vector(text), 1.0] for text in texts]


def too_few(texts: Sequence[str]) -> list[list[float]]:
    return [vector(text) for text in texts][1:]


def not_finite(texts: Sequence[str]) -> list[list[float]]:
    return [[float("nan")] * len(TOPICS) for _ in texts]


def not_numbers(texts: Sequence[str]) -> Any:
    return ["abcd" for _ in texts]


class Model(Embeddings):
    """A LangChain object that treats questions otherwise than documents."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return embed(texts)

    def embed_query(self, text: str) -> list[float]:
        return [*reversed(vector(text))]


model = Model()
number = 7
