"""What a project's configuration says about encryption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from waystation.errors import ConfigError
from waystation.storage.sealing import THREAD_VALUES

if TYPE_CHECKING:
    from waystation.config import Config, EncryptionConfig
    from waystation.encryption.aes import AesSeals
    from waystation.encryption.custom import CustomSeals
    from waystation.graphs.modules import Modules

__all__ = ["encryption_of"]

log = structlog.get_logger("waystation.encryption")


def encryption_of(config: Config, modules: Modules) -> AesSeals | CustomSeals | None:
    """How the server encrypts what it stores; None if it does not. Raises ConfigError when the settings cannot be used."""
    settings = config.encryption
    if settings is None:
        return None
    # The library takes 20 ms to import.
    from waystation.encryption.aes import AesSeals
    from waystation.encryption.keys import Keyring
    from waystation.encryption.system_keys import is_system_key

    if refused := sorted(filter(is_system_key, settings.json_keys)):
        raise ConfigError(
            f"Environment variable LANGGRAPH_AES_JSON_KEYS: {', '.join(refused)} cannot be encrypted: "
            "the server finds and runs things by it."
        )
    searched = frozenset({THREAD_VALUES.label} if settings.searchable_values else ())
    aes = AesSeals(Keyring(settings.aes_key, settings.old_keys), frozenset(settings.json_keys), searched=searched)
    if settings.path is None:
        return aes
    from waystation.encryption.custom import CustomSeals

    handlers = _handlers(settings.path, modules)
    _check(handlers, settings)
    return CustomSeals(handlers, aes)


def _handlers(path: str, modules: Modules) -> Any:
    from langgraph_sdk import Encryption

    found = modules.part("encryption.path", path)
    if not isinstance(found, Encryption):
        kind = type(found).__name__
        raise ConfigError(f"encryption.path: {path} must be a langgraph_sdk.Encryption object; it is a {kind}.")
    return found


def _check(encryption: Any, settings: EncryptionConfig) -> None:
    kinds = {"blob": "checkpoints, events and webhooks", "json": "everything but checkpoints, events and webhooks"}
    present = []
    for kind, what in kinds.items():
        encrypts = getattr(encryption, f"_{kind}_encryptor") is not None
        decrypts = getattr(encryption, f"_{kind}_decryptor") is not None
        if encrypts != decrypts:
            there, missing = ("encrypt", "decrypt") if encrypts else ("decrypt", "encrypt")
            raise ConfigError(f"encryption.path: there is a handler for {there}.{kind} and none for {missing}.{kind}.")
        if encrypts:
            present.append(kind)
        elif settings.aes_key is None:
            log.warning("stored in the clear: the project has no encryption handlers for it", kind=kind, what=what)
    if not present:
        raise ConfigError("encryption.path: the object has no handlers; register encrypt.blob, decrypt.blob and so on.")
    if "json" in present and settings.json_keys:
        raise ConfigError(
            "encryption.path: the project's JSON handlers choose what to encrypt; LANGGRAPH_AES_JSON_KEYS has no effect beside "
            "them: remove one of the two."
        )
