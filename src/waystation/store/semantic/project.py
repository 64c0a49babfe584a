"""The embedder that ``store.index.embed`` of ``langgraph.json`` names (spec 19)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waystation.errors import ConfigError
from waystation.store.semantic.embedder import Embedder

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from waystation.config import IndexConfig
    from waystation.graphs.modules import Modules

__all__ = ["load_embedder"]


def load_embedder(config: IndexConfig, modules: Modules) -> Embedder:
    """What the project has for embedding. Raises ConfigError when it cannot be used."""
    where, _, _ = config.embed.partition(":")
    is_ours = "/" in where or "." in where
    return Embedder(_of_project(config.embed, modules) if is_ours else _of_provider(config.embed), config.dims)


def _of_provider(name: str) -> Embeddings:
    """``provider:model`` as LangChain knows it."""
    from langchain.embeddings import init_embeddings

    try:
        return init_embeddings(name)
    except ImportError as error:
        raise ConfigError(
            f"store.index.embed: {name!r} needs a package that is not installed: {error}. Install it, or name a function of "
            "the project ('./embed.py:function')."
        ) from error
    except Exception as error:
        raise ConfigError(
            f"store.index.embed: {name!r} cannot be used: {type(error).__name__}: {error}. Is the provider's API key set, for "
            "instance in the project's 'env' file? A function of the project ('./embed.py:function') needs none."
        ) from error


def _of_project(reference: str, modules: Modules) -> Embeddings:
    from langgraph.store.base.embed import ensure_embeddings

    found = modules.part("store.index.embed", reference)
    if isinstance(found, type) or not (callable(found) or hasattr(found, "embed_documents")):
        raise ConfigError(
            f"store.index.embed: {reference} must be a function that takes a list of texts and returns their vectors, or a "
            f"LangChain Embeddings object; it is {found!r}."
        )
    return ensure_embeddings(found)
