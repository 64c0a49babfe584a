"""The configuration: one frozen `Config`, built once from ``langgraph.json`` and the environment (spec 19, 22)."""

from __future__ import annotations

from waystation.config.loading import load_config
from waystation.config.model import (
    AuthConfig,
    Config,
    EncryptionConfig,
    GraphSpec,
    HttpConfig,
    IndexConfig,
    StoreConfig,
    WebhookConfig,
)
from waystation.config.support import announce

__all__ = [
    "AuthConfig",
    "Config",
    "EncryptionConfig",
    "GraphSpec",
    "HttpConfig",
    "IndexConfig",
    "StoreConfig",
    "WebhookConfig",
    "announce",
    "load_config",
]
