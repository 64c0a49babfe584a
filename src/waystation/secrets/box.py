"""What encrypts credentials with the keys of ``WAYSTATION_SECRET_KEY``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from waystation.errors import SealBroken, Unavailable

if TYPE_CHECKING:
    from waystation.encryption.keys import Keyring

__all__ = ["SecretBox"]

MISSING = (
    "This server cannot store credentials, because it has no key to encrypt them with: set WAYSTATION_SECRET_KEY for all of its "
    'processes, for instance to what `python -c "import secrets; print(secrets.token_urlsafe(32))"` prints, and restart.'
)


class SecretBox:
    """Encrypts with the first key and decrypts with all of them. Usable from every thread.

    The keys are asked for when there is something to encrypt or to decrypt: until then they need not exist, and the library, which
    takes 20 ms to import, is not loaded.
    """

    def __init__(self, keys: Callable[[], Sequence[str]]) -> None:
        self._keys = keys
        self._keyring: Keyring | None = None

    def seal(self, text: bytes, where: str) -> bytes:
        """Encrypt `text`. It can be opened only as what stands in the same place, `where`. Raises Unavailable without a key."""
        return self._ring().seal(text, where.encode())

    def open(self, sealed: bytes, where: str) -> bytes:
        """The inverse of `seal`. Raises SealBroken if none of the keys is the right one, Unavailable without any."""
        ring = self._ring()
        if _key_of(sealed) not in ring.ids:
            raise SealBroken(
                f"Stored credentials ({where}) were encrypted with another key: add the former key to WAYSTATION_SECRET_KEY, "
                "after the current one and a comma, or store the credentials again."
            )
        return ring.open(sealed, where.encode())

    def is_current(self, sealed: bytes) -> bool:
        """Whether it was the first key that encrypted this. Raises Unavailable without a key."""
        return _key_of(sealed) == self._ring().ids[0]

    def _ring(self) -> Keyring:
        if self._keyring is None:
            from waystation.encryption.keys import Keyring

            keys = [sha256(b"waystation secret key\0" + key.encode()).digest() for key in self._keys()]
            if not keys:
                raise Unavailable(MISSING)
            self._keyring = Keyring(keys[0], keys[1:])
        return self._keyring


def _key_of(sealed: bytes) -> str:
    return sealed[:4].hex()
