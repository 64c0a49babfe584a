"""The `Encryption` object of the server under test: ``tests.encryption.given:encryption``. Each test puts its own here."""

from __future__ import annotations

import asyncio
import base64
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langgraph_sdk import Encryption, EncryptionContext

from waystation.config import EncryptionConfig

__all__ = ["CLEAR", "MARK", "by_tenant", "configured", "empty", "encryption"]

encryption: Any = None

MARK = "sealed:"

CLEAR = frozenset({"label"})
"""The only key that the handlers of `by_tenant` leave as it is."""


@contextmanager
def _in_beta() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def configured(given: Any, **settings: Any) -> EncryptionConfig:
    """The configuration of a project that has `given`."""
    global encryption
    encryption = given
    return EncryptionConfig("tests.encryption.given:encryption", **settings)


def empty() -> Encryption:
    """An object without handlers."""
    with _in_beta():
        return Encryption()


def by_tenant(seen: list[tuple[str, str | None, str | None]] | None = None) -> Encryption:
    """Hides everything but `CLEAR` from whoever does not undo base64, and gives it back only in the context of the same tenant.
    `seen` gets model, field and tenant of each call that encrypts."""
    given = empty()

    def sealed(ctx: EncryptionContext, text: bytes) -> bytes:
        if seen is not None:
            seen.append((ctx.model or "", ctx.field, ctx.metadata.get("tenant")))
        return f"{MARK}{ctx.metadata['tenant']}:".encode() + base64.b64encode(text)

    def opened(ctx: EncryptionContext, stored: bytes) -> bytes:
        head = f"{MARK}{ctx.metadata['tenant']}:".encode()
        if not stored.startswith(head):
            raise PermissionError("of another tenant")
        return base64.b64decode(stored[len(head) :])

    @given.encrypt.blob
    async def encrypt_blob(ctx: EncryptionContext, blob: bytes) -> bytes:
        await asyncio.sleep(0)
        return sealed(ctx, blob)

    @given.decrypt.blob
    async def decrypt_blob(ctx: EncryptionContext, blob: bytes) -> bytes:
        await asyncio.sleep(0)
        return opened(ctx, blob)

    @given.encrypt.json
    async def encrypt_json(ctx: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {
            key: value if key in CLEAR else sealed(ctx, json.dumps(value).encode()).decode()
            for key, value in data.items()
        }

    @given.decrypt.json
    async def decrypt_json(ctx: EncryptionContext, data: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {
            key: json.loads(opened(ctx, value.encode())) if isinstance(value, str) and value.startswith(MARK) else value
            for key, value in data.items()
        }

    return given
