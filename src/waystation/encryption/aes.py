"""Encryption with a key: blobs, whole JSON values that nobody searches, and chosen keys of those that are searched (spec 23).

Everything encrypted carries a mark, the version of its format: `AES_BLOB` before bytes, `AES_TOKEN` before base64 in JSON. What has none
was written in the clear, before there was a key.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from waystation.encoding import decode, encode, to_plain
from waystation.encryption.keys import Keyring
from waystation.errors import SealBroken
from waystation.storage.seal_marks import AES_BLOB, AES_TOKEN
from waystation.storage.sealing import THREAD_VALUES, Field, Unreadable

__all__ = ["AesSeals"]


class AesSeals:
    """`Seals` with the keys of `keyring`."""

    waits = False
    context_of = None

    def __init__(self, keyring: Keyring, json_keys: frozenset[str] = frozenset(), *, searched: frozenset[str]) -> None:
        """`json_keys` are encrypted in what is searched. `searched` are labels of fields that stay open to filters although
        SQL would not have to look into them."""
        self._keyring = keyring
        self._json_keys = json_keys
        self._searched = searched

    @property
    def key_ids(self) -> list[str]:
        """The ids of all keys that it can decrypt with, that of the current one first."""
        return self._keyring.ids

    def seal_blobs(self, field: Field, blobs: Sequence[bytes]) -> list[bytes]:
        if not self._keyring.encrypts:
            return list(blobs)
        where = field.label.encode()
        return [AES_BLOB + self._keyring.seal(blob, where) for blob in blobs]

    def open_blobs(self, field: Field, blobs: Sequence[bytes]) -> list[bytes]:
        where = field.label.encode()
        return [self._keyring.open(blob[1:], where) if blob[:1] == AES_BLOB else blob for blob in blobs]

    def seal_json(self, field: Field, value: Any) -> Any:
        if not self._keyring.ids:
            return value
        if field.parts:
            return field.with_parts(value, partial(self._sealed, field))
        return self._sealed(field, "", value)

    def open_json(self, field: Field, stored: Any) -> Any:
        if not self._keyring.ids:
            return stored
        if field.parts and isinstance(stored, dict):
            return field.with_parts(stored, partial(self._opened, field))
        return self._opened(field, "", stored)

    def open_text(self, field: Field, stored: str) -> str | Unreadable:
        if AES_TOKEN not in stored:
            return stored
        found = decode(stored)
        try:
            return encode(self.open_json(field, found)).decode()
        except SealBroken as error:
            return Unreadable(found, error)

    def hidden(self, field: Field, wanted: Mapping[str, Any]) -> list[str]:
        if not self._keyring.encrypts:
            return []
        if not self._is_searched(field):
            return list(wanted)
        return sorted(self._json_keys & set(_keys(wanted)))

    def close(self) -> None:
        pass

    def _sealed(self, field: Field, key: str, value: Any) -> Any:
        if self._keyring.encrypts and not self._is_searched(field):
            return value if _is_empty(value) else self._token(field, key, value)
        if _holds_tokens(field):
            plain = value if isinstance(value, (dict, Unreadable)) else to_plain(value)
            return self._seal_members(field, key, plain)
        return self._token(field, key, value) if _passes_for_token(value) else value

    def _opened(self, field: Field, key: str, stored: Any) -> Any:
        """Of what is always encrypted as a whole, nothing within is looked at: there are only users' words."""
        return self._open_members(field, key, stored) if _holds_tokens(field) else self._open_token(field, key, stored)

    def _is_searched(self, field: Field) -> bool:
        return field.searched or field.label in self._searched

    def _token(self, field: Field, key: str, value: Any) -> Any:
        if isinstance(value, Unreadable):
            return value.stored
        sealed = self._keyring.seal(encode(value), _where(field, key))
        return AES_TOKEN + base64.b64encode(sealed).decode()

    def _seal_members(self, field: Field, key: str, value: Any) -> Any:
        if isinstance(value, Unreadable):
            return value.stored
        if isinstance(value, Mapping):
            return {
                name: self._token(field, name, member)
                if name in self._json_keys and member is not None
                else self._seal_members(field, name, member)
                for name, member in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._seal_members(field, key, member) for member in value]
        return self._token(field, key, value) if _passes_for_token(value) else value

    def _open_members(self, field: Field, key: str, stored: Any) -> Any:
        if isinstance(stored, dict):
            return {name: self._open_members(field, name, member) for name, member in stored.items()}
        if isinstance(stored, list):
            return [self._open_members(field, key, member) for member in stored]
        return self._open_token(field, key, stored)

    def _open_token(self, field: Field, key: str, stored: Any) -> Any:
        if not _passes_for_token(stored):
            return stored
        try:
            sealed = base64.b64decode(stored[len(AES_TOKEN) :], validate=True)
        except binascii.Error:
            return stored  # written in the clear, by somebody who had seen the mark
        try:
            return decode(self._keyring.open(sealed, _where(field, key)))
        except SealBroken as error:
            return Unreadable(stored, error)


def _holds_tokens(field: Field) -> bool:
    """Whether members of the field may be encrypted by themselves. The values of threads are, or were, if they stay searchable."""
    return field.searched or field == THREAD_VALUES


def _passes_for_token(value: Any) -> bool:
    """Whether the value looks like one of ours. A client's own words that do are encrypted, whatever they say."""
    return isinstance(value, str) and value.startswith(AES_TOKEN)


def _is_empty(value: Any) -> bool:
    return value is None or value == {}


def _where(field: Field, key: str) -> bytes:
    return f"{field.label}:{key}".encode() if key else field.label.encode()


def _keys(value: Any) -> list[str]:
    """All keys at any depth."""
    if isinstance(value, Mapping):
        return [*value, *(key for member in value.values() for key in _keys(member))]
    return [key for member in value for key in _keys(member)] if isinstance(value, list) else []
