"""How identifiers are stored: checkpoint, task and run ids as 16 bytes, channel versions as 64-bit integers."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

__all__ = ["COUNTER_STEP", "is_own_version", "pack_id", "unpack_id", "version_key"]

COUNTER_STEP = 1 << 31
"""One step of the counter in the channel versions that `Saver.get_next_version` makes; the bits below it are random."""

_LARGEST = (1 << 63) - 1

_OTHER = b"\xff" * 17
"""Marks an id that is not a UUID. Longer than a UUID, so the two forms cannot be confused."""


def pack_id(text: str) -> bytes:
    """A UUID in its usual form as 16 bytes, which sort as the text does; any other text as longer bytes."""
    if len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-":
        digits = text.replace("-", "")
        try:
            raw = bytes.fromhex(digits)
        except ValueError:
            raw = b""
        if raw.hex() == digits and len(raw) == 16:  # it takes capitals and spaces as well
            return raw
    return _OTHER + text.encode("utf-8", "surrogatepass")


def unpack_id(raw: bytes) -> str:
    """The inverse of `pack_id`."""
    if len(raw) == 16:
        digits = raw.hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return raw[len(_OTHER) :].decode("utf-8", "surrogatepass")


def version_key(version: Any) -> int:
    """A channel version as a database integer: itself if it is one, else a negative hash of it.

    Versions of this server are integers; other kinds come with checkpoints that were made elsewhere.
    """
    if type(version) is int and 0 <= version <= _LARGEST:
        return version
    digest = blake2b(repr(version).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return -1 - (int.from_bytes(digest, "big") >> 1)


def is_own_version(version: Any) -> bool:
    """Whether the version is one of `Saver.get_next_version`: then it names one value of the channel, for ever."""
    return type(version) is int and COUNTER_STEP <= version <= _LARGEST
