"""AES keys: one that encrypts, and all that decrypt.

A *sealed* text is

    key id (4 bytes) | salt (12) | nonce (12) | AES-GCM ciphertext and tag

The configured key itself encrypts nothing. Each process derives a key from it with a random salt (HKDF-SHA256), and another one
after 2**31 texts: with one key for everything, the random nonces of AES-GCM would have to be expected to meet after some
2**32 texts, which a busy server writes within weeks (NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from waystation.errors import SealBroken

__all__ = ["Keyring", "key_id"]

_ID, _SALT, _NONCE, _TAG = 4, 12, 12, 16

_HEAD = _ID + _SALT + _NONCE

TEXTS_PER_SALT = 2**31

DERIVED_KEPT = 4096
"""Derived keys that are kept for reading. Deriving one takes 20 µs."""


def key_id(key: bytes) -> bytes:
    """What names a key in what it has encrypted; says nothing about the key."""
    return _hkdf(key, _ID, b"waystation key id", b"")


class Keyring:
    """Encrypts with one key and decrypts with all. Usable from every thread."""

    def __init__(self, current: bytes | None, old: Iterable[bytes]) -> None:
        """Without `current` nothing new is to be encrypted; what has to be all the same is, with an old key."""
        keys = [*([current] if current is not None else []), *old]
        self._keys = {key_id(key): key for key in keys}
        self._current = next(iter(self._keys), None)
        self._encrypts = current is not None
        self._lock = threading.Lock()
        self._left = 0
        self._salt = b""
        self._cipher: AESGCM | None = None
        self._derived = lru_cache(DERIVED_KEPT)(self._derive)

    @property
    def encrypts(self) -> bool:
        """Whether new data is to be encrypted."""
        return self._encrypts

    @property
    def ids(self) -> list[str]:
        """The ids of all keys, that of the current one first, as people see them."""
        return [each.hex() for each in self._keys]

    def seal(self, text: bytes, where: bytes) -> bytes:
        """Encrypt `text`. It can be opened only as what stands in the same place, `where`."""
        assert self._current is not None
        cipher, salt = self._for_one_more()
        nonce = os.urandom(_NONCE)
        return self._current + salt + nonce + cipher.encrypt(nonce, text, where)

    def open(self, sealed: bytes, where: bytes) -> bytes:
        """The inverse of `seal`. Raises SealBroken."""
        if len(sealed) < _HEAD + _TAG:
            raise SealBroken(f"Encrypted data ({where.decode()}) is too short: it was cut off.")
        key = sealed[:_ID]
        if key not in self._keys:
            raise SealBroken(
                f"Stored data ({where.decode()}) was encrypted with the key {key.hex()}, which this server does not have: "
                "add it to WAYSTATION_AES_OLD_KEYS."
            )
        nonce = sealed[_ID + _SALT : _HEAD]
        try:
            return self._derived(key, sealed[_ID : _ID + _SALT]).decrypt(nonce, sealed[_HEAD:], where)
        except InvalidTag:
            raise SealBroken(
                f"Encrypted data ({where.decode()}, key {key.hex()}) is damaged, or was moved from somewhere else."
            ) from None

    def _for_one_more(self) -> tuple[AESGCM, bytes]:
        assert self._current is not None
        with self._lock:
            if self._left == 0 or self._cipher is None:
                self._salt, self._left = os.urandom(_SALT), TEXTS_PER_SALT
                self._cipher = self._derive(self._current, self._salt)
            self._left -= 1
            return self._cipher, self._salt

    def _derive(self, key: bytes, salt: bytes) -> AESGCM:
        main = self._keys[key]
        return AESGCM(_hkdf(main, len(main), b"waystation aes-gcm 1", salt))


def _hkdf(key: bytes, length: int, info: bytes, salt: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(key)
