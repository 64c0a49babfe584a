"""From the ``encryption`` section and the variables about it to an `EncryptionConfig` (spec 19, 23)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waystation.config.model import EncryptionConfig
from waystation.config.project import EncryptionSection
from waystation.errors import ConfigError

__all__ = ["encryption_config"]

_ABOUT_A_KEY = {
    "json_keys": "LANGGRAPH_AES_JSON_KEYS",
    "searchable_values": "WAYSTATION_AES_SEARCHABLE_VALUES",
}


def encryption_config(section: EncryptionSection | None, given: Mapping[str, Any]) -> EncryptionConfig | None:
    """None when nothing is to be encrypted, and nothing was. Raises ConfigError for settings that would encrypt nothing."""
    found = {name.removeprefix("encryption."): value for name, value in given.items() if name.startswith("encryption.")}
    key, old_keys = found.get("aes_key"), tuple(found.get("old_keys", ()))
    if section is not None and section.path is None:
        raise ConfigError("encryption.path: the key is missing; a server that is to encrypt needs to know how.")
    path = None if section is None else section.path
    if key is None:
        for name, variable in _ABOUT_A_KEY.items():
            if found.get(name):
                raise ConfigError(
                    f"Environment variable {variable} means nothing without LANGGRAPH_AES_KEY, which is not set."
                )
    if path is None and key is None and not old_keys:
        return None
    json_keys = tuple(dict.fromkeys(found.get("json_keys", ())))
    return EncryptionConfig(path, key, old_keys, json_keys, bool(found.get("searchable_values")))
