"""API keys: what they look like, and the names of what they belong to."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from msgspec import Struct

from waystation.errors import BadInput

__all__ = ["KeyOwner", "NewKey", "digest_of", "key_id_of", "matches", "new_key"]

PREFIX = "ws"
"""Tells a leaked key's finder, and secret scanners, what it is."""

ID_BYTES = 6
SECRET_BYTES = 32

_KEY = re.compile(rf"({PREFIX}_[0-9a-f]{{{2 * ID_BYTES}}})_[A-Za-z0-9_-]{{{4 * SECRET_BYTES // 3 + 1}}}")
_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}")

LONGEST_USER = 256


class KeyOwner(Struct, frozen=True):
    """A user in a workspace, or a service that is none of its users."""

    workspace: str
    user_id: str | None

    @classmethod
    def of(cls, workspace: str, user_id: str | None) -> KeyOwner:
        """Raises BadInput for names that are not usable."""
        if not _WORKSPACE.fullmatch(workspace):
            raise BadInput(
                f"Invalid workspace {workspace!r}: up to 128 letters, digits and any of . _ @ : - after a letter or digit."
            )
        if user_id is not None and (not user_id.strip() or len(user_id) > LONGEST_USER or not user_id.isprintable()):
            raise BadInput(f"Invalid user {user_id!r}: 1 to {LONGEST_USER} printable characters.")
        return cls(workspace, user_id)


class NewKey(Struct, frozen=True):
    """A key that was just made. Only its id and digest are ever stored."""

    key_id: str
    text: str
    digest: bytes


def new_key() -> NewKey:
    """A random key, of 256 secret bits."""
    key_id = f"{PREFIX}_{secrets.token_hex(ID_BYTES)}"
    text = f"{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return NewKey(key_id, text, digest_of(text))


def key_id_of(text: str) -> str | None:
    """The id that a key begins with; None for a text that is no key."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


def digest_of(text: str) -> bytes:
    """What is stored of a key. It holds more entropy than can be tried, so it needs neither salt nor a slow function."""
    return hashlib.sha256(text.encode()).digest()


def matches(text: str, digest: bytes) -> bool:
    """Whether `digest` is that of the key `text`, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(digest_of(text), digest)
