"""Compression of small pieces: zstd with a built-in dictionary of what checkpoints usually contain.

Without a dictionary, a message of 500 bytes hardly shrinks. With one, its keys and many of its words cost next to nothing.
"""

from __future__ import annotations

import threading
from hashlib import blake2b

import zstandard

from waystation.storage.checkpoints.dictionary import DICTIONARY

__all__ = ["Compression", "seal", "unseal"]

LEVEL = 3

SMALLEST = 192
"""Bytes below which compression gains little. Each use of a compressor gives other threads a turn, which costs more time
than compressing: the many small records of a run are therefore stored as they are."""

_PLAIN, _ZSTD = 0x10, 0x11
"""First byte of sealed data. A change of the format or of the dictionary takes new values."""

_TYPES = ("msgpack", "null", "bytes", "bytearray", "json", "pickle")
"""The type names of LangGraph's serializer, stored as their position."""

_NAMED = 0xFF


class Compression(threading.local):
    """Compressors are not thread-safe: each thread that uses an instance gets its own."""

    def __init__(self) -> None:
        words = zstandard.ZstdCompressionDict(DICTIONARY, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        words.precompute_compress(level=LEVEL)
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, dict_data=words)
        self._decompressor = zstandard.ZstdDecompressor(dict_data=words)

    def compress(self, data: bytes) -> bytes:
        return self._compressor.compress(data)

    def decompress(self, data: bytes) -> bytes:
        return self._decompressor.decompress(data)

    def compress_beside(self, data: bytes, context: bytes) -> bytes:
        """Compress `data`, which resembles `context`."""
        return zstandard.ZstdCompressor(level=LEVEL, dict_data=_raw(context)).compress(data)

    def decompress_beside(self, data: bytes, context: bytes) -> bytes:
        return zstandard.ZstdDecompressor(dict_data=_raw(context)).decompress(data)


def seal(type_: str, data: bytes, compression: Compression) -> bytes:
    """What a serializer made of a value, in the form in which it is stored."""
    if type_ in _TYPES:
        body = bytes((_TYPES.index(type_),)) + data
    else:
        name = type_.encode()
        body = bytes((_NAMED, len(name))) + name + data
    if len(body) >= SMALLEST:
        packed = compression.compress(body)
        if len(packed) < len(body):
            return bytes((_ZSTD,)) + packed
    return bytes((_PLAIN,)) + body


def unseal(sealed: bytes, compression: Compression) -> tuple[str, bytes]:
    """The inverse of `seal`. Raises ValueError for a format this version does not know."""
    if sealed[0] == _ZSTD:
        body = compression.decompress(sealed[1:])
    elif sealed[0] == _PLAIN:
        body = sealed[1:]
    else:
        raise ValueError(f"checkpoint data has the unknown format {sealed[0]:#x}; a newer version may have written it")
    if body[0] != _NAMED:
        return _TYPES[body[0]], body[1:]
    end = 2 + body[1]
    return body[2:end].decode(), body[end:]


def dictionary_digest() -> str:
    """Identifies the built-in dictionary: stored data can be read only with the one it was written with."""
    return blake2b(DICTIONARY, digest_size=8).hexdigest()


def _raw(context: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(context, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
