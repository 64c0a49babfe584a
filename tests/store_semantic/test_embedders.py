"""Kinds of embedders, and what happens when one fails (spec 10, 19)."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from langgraph.store.base import PutOp

from tests.store_semantic.conftest import PROJECT, Opened
from waystation.config import IndexConfig
from waystation.errors import ConfigError, EmbeddingFailed
from waystation.graphs.modules import Modules
from waystation.storage.database import Database
from waystation.store import Store
from waystation.store.semantic.project import load_embedder


@pytest.mark.parametrize("embed", ["embed", "embed_later", "model"])
async def test_every_kind_works_from_everywhere(db: Database, opened: Opened, embed: str) -> None:
    store = opened(db, embed, "text")
    await store.aput(("a",), "one", {"text": "apple"})
    store.put(("a",), "two", {"text": "cat"})
    question = "music" if embed == "model" else "fruit"  # that model turns questions around
    for found in (await store.asearch((), query=question), store.search((), query=question)):
        assert [(item.key, item.score) for item in found] == [("one", 1.0), ("two", 0.0)]


@pytest.mark.parametrize("embed", ["embed", "embed_later"])
async def test_no_event_loop_of_a_caller_waits(db: Database, opened: Opened, embed: str, embedders: Any) -> None:
    store = opened(db, embed)
    await store.aput(("a",), "k", {"text": "apple"})
    await store.asearch((), query="pear")
    store.search((), query="pear")
    assert threading.current_thread().name not in embedders.threads
    assert ("waystation-embedder" in embedders.threads) == (embed == "embed_later")


async def test_texts_of_a_batch_are_embedded_by_one_call_and_each_once(store: Store, embedders: Any) -> None:
    await store.abatch(
        [
            PutOp(("a",), "one", {"text": "apple"}, index=["text"]),
            PutOp(("a",), "two", {"text": "apple"}, index=["text"]),
            PutOp(("a",), "three", {"text": "cat", "blank": " "}, index=["text", "blank", "missing"]),
            PutOp(("a",), "none", {"text": "rain"}, index=False),
        ]
    )
    assert embedders.calls == [["apple", "cat"]]


@pytest.mark.parametrize(
    ("embed", "said"),
    [
        ("too_long", "vector of 5 numbers; store.index.dims of langgraph.json says 4"),
        ("too_few", "returned 0 vectors for 1 texts"),
        ("not_finite", "not finite"),
        ("not_numbers", "lists of numbers"),
    ],
)
async def test_an_embedder_that_returns_nonsense_stores_nothing(
    db: Database, opened: Opened, embed: str, said: str
) -> None:
    store = opened(db, embed)
    with pytest.raises(EmbeddingFailed, match=said):
        await store.aput(("a",), "k", {"text": "apple"})
    assert await store.aget(("a",), "k") is None


async def test_one_text_that_fails_leaves_everything_as_it_was(store: Store, embedders: Any) -> None:
    await store.aput(("a",), "k", {"text": "apple"})
    with pytest.raises(EmbeddingFailed) as raised:
        await store.abatch([PutOp(("a",), "k", {"text": "poison"}), PutOp(("a",), "new", {"text": "cat"})])
    assert embedders.SECRET not in raised.value.message
    assert "ConnectionError" in raised.value.message
    with pytest.raises(EmbeddingFailed):
        store.search((), query="poison")
    [item] = await store.asearch((), query="pear")
    assert (item.key, item.value, item.score) == ("k", {"text": "apple"}, 1.0)


@pytest.mark.parametrize(
    ("embed", "said"),
    [
        ("./embedders.py:missing", "there is no such variable"),
        ("./embedders.py:number", "it is 7"),
        ("./embedders.py:Model", "must be a function"),
        ("./nowhere.py:embed", "does not exist"),
        ("nobody:model", "'nobody:model' cannot be used.*nobody"),
        ("cohere:embed-english-v3.0", "needs a package that is not installed.*langchain-cohere"),
    ],
)
def test_an_embedder_that_cannot_be_used_is_said_at_the_start(embed: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"store.index.embed: .*{said}"):
        load_embedder(IndexConfig(4, embed), Modules(PROJECT, ()))


def test_a_provider_without_its_key_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """LangChain's own words name the variable that is missing."""

    def refuse(name: str) -> Any:
        raise ValueError("OPENAI_API_KEY is not set")

    monkeypatch.setattr("langchain.embeddings.init_embeddings", refuse)
    with pytest.raises(ConfigError, match=r"OPENAI_API_KEY is not set.*'env' file"):
        load_embedder(IndexConfig(4, "openai:text-embedding-3-small"), Modules(PROJECT, ()))
