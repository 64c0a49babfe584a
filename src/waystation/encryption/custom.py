"""Encryption by a project's own handlers (`langgraph_sdk.Encryption`, spec 23).

Each blob, and each JSON object, is stored with the context that it was encrypted with, and decrypted with just that:

    blob:  0xE2 | length of the context (4 bytes) | context as JSON | what the handler made
    JSON:  what the handler made, with the context beside the keys, under `CUSTOM_KEY`

What has no mark was not encrypted by handlers. Where there is no handler for a kind of data, the AES key does it if there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from langgraph_sdk.encryption.types import DecryptResult, EncryptionContext

from waystation.encoding import decode, encode, to_plain
from waystation.encryption.aes import AesSeals
from waystation.encryption.handlers import HandlerLoop
from waystation.encryption.system_keys import CONFIG_KEYS, ID_KEYS
from waystation.errors import EncryptionFailed, SealBroken
from waystation.storage.seal_marks import CUSTOM_BLOB, CUSTOM_KEY
from waystation.storage.sealing import Field, Unreadable, current_context

if TYPE_CHECKING:
    from langgraph_sdk import Encryption

__all__ = ["CustomSeals"]

log = structlog.get_logger("waystation.encryption")

LENGTH = 4
ALONE = "__encrypted_value__"
"""The only key of what is stored for a value that is no object: the handler gets one with the field's name for its only key.
A client's object with this key has the mark beside it."""


class CustomSeals:
    """`Seals` with the handlers of `encryption`, and with `aes` for what they are not for."""

    waits = True

    def __init__(self, encryption: Encryption, aes: AesSeals) -> None:
        self._loop = HandlerLoop()
        self._aes = aes
        self._seal_blob = encryption._blob_encryptor
        self._open_blob = encryption._blob_decryptor
        self._seal_json = encryption._json_encryptor
        self._open_json = encryption._json_decryptor
        self._context = encryption._context_handler
        self._replaces = False

    async def context_of(self, user: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The context of a request by `user` whose header says `given`. Raises EncryptionFailed."""
        handler = self._context
        if handler is None:
            return given
        made = await self._loop.run_async(
            "context", lambda: _awaited(handler, user, EncryptionContext(metadata={**given}))
        )
        if not isinstance(made, Mapping):
            raise EncryptionFailed(f"The encryption handler context returned a {type(made).__name__}, not a dict.")
        plain: dict[str, Any] = to_plain(made)
        return plain

    def seal_blobs(self, field: Field, blobs: Sequence[bytes]) -> list[bytes]:
        if self._seal_blob is None:
            return self._aes.seal_blobs(field, blobs)
        if not blobs:
            return []
        head, context = self._head(), current_context()
        handler = self._seal_blob
        calls = [partial(_awaited, handler, _told(field.model, field.name, context), bytes(blob)) for blob in blobs]
        return [head + _bytes("encrypt.blob", made) for made in self._loop.run("encrypt.blob", calls)]

    def open_blobs(self, field: Field, blobs: Sequence[bytes]) -> list[bytes]:
        opened = self._aes.open_blobs(field, blobs)
        places = [place for place, blob in enumerate(opened) if blob[:1] == CUSTOM_BLOB]
        if not places:
            return opened
        if self._open_blob is None:
            raise SealBroken(
                "Stored data was encrypted by a handler, and the project has none for encrypt.blob any more."
            )
        calls = []
        for place in places:
            start = 1 + LENGTH
            end = start + int.from_bytes(opened[place][1:start], "big")
            told = _told(field.model, field.name, decode(opened[place][start:end]))
            calls.append(partial(_awaited, self._open_blob, told, opened[place][end:]))
        try:
            made = self._loop.run("decrypt.blob", calls)
            for place, result in zip(places, made, strict=True):
                opened[place] = _bytes("decrypt.blob", self._plaintext(result))
        except EncryptionFailed as error:
            raise _broken(error) from error
        return opened

    def seal_json(self, field: Field, value: Any) -> Any:
        if self._seal_json is None:
            return self._aes.seal_json(field, value)
        if field.parts:
            return field.with_parts(value, partial(self._seal_value, field.model))
        return self._seal_value(field.model, field.name, value)

    def open_json(self, field: Field, stored: Any) -> Any:
        if field.parts and isinstance(stored, dict):
            opened = field.with_parts(stored, partial(self._open_value, field.model))
            others = {key: member for key, member in stored.items() if opened[key] is member}
            return {**opened, **self._aes.open_json(field, others)}
        opened = self._open_value(field.model, field.name, stored)
        return self._aes.open_json(field, stored) if opened is stored else opened

    def open_text(self, field: Field, stored: str) -> str | Unreadable:
        if CUSTOM_KEY not in stored:
            return self._aes.open_text(field, stored)
        found = decode(stored)
        try:
            return encode(self.open_json(field, found)).decode()
        except SealBroken as error:
            return Unreadable(found, error)

    def hidden(self, field: Field, wanted: Mapping[str, Any]) -> list[str]:
        """Whatever the handler changes in the filter it would have changed in what was stored."""
        if self._seal_json is None:
            return self._aes.hidden(field, wanted)
        sealed = self._seal_object(field.model, field.name, to_plain(wanted), _clear_in(field.name))
        return [key for key in wanted if sealed[key] != to_plain(wanted[key])]

    def close(self) -> None:
        self._loop.close()

    def _head(self) -> bytes:
        context = encode(current_context())
        return CUSTOM_BLOB + len(context).to_bytes(LENGTH, "big") + context

    # --- JSON

    def _seal_value(self, model: str, name: str, value: Any) -> Any:
        if isinstance(value, Unreadable):
            return value.stored
        plain = to_plain(value)
        if plain is None or plain == {}:
            return plain
        if not isinstance(plain, dict):
            made = self._seal_object(model, name, {name: plain}, frozenset())
            return {ALONE: {CUSTOM_KEY: made[CUSTOM_KEY], "value": made[name]}}
        if name != "config":
            return self._seal_object(model, name, plain, _clear_in(name))
        inner = {key: plain[key] for key in ("configurable", "metadata") if isinstance(plain.get(key), dict)}
        outer = {key: member for key, member in plain.items() if key not in inner}
        return {
            **self._seal_object(model, name, outer, CONFIG_KEYS),
            **{key: self._seal_object(model, name, member, ID_KEYS) for key, member in inner.items()},
        }

    def _open_value(self, model: str, name: str, stored: Any) -> Any:
        """`stored` itself if handlers have not encrypted it."""
        if not isinstance(stored, dict):
            return stored
        try:
            alone = stored[ALONE] if stored.keys() == {ALONE} else None
            if isinstance(alone, dict) and alone.keys() == {CUSTOM_KEY, "value"}:
                whole = {CUSTOM_KEY: alone[CUSTOM_KEY], name: alone["value"]}
                return self._open_object(model, name, whole, frozenset())[name]
            clear = CONFIG_KEYS | {"configurable", "metadata"} if name == "config" else _clear_in(name)
            opened = self._open_object(model, name, stored, clear) if CUSTOM_KEY in stored else stored
            if name == "config":
                for key in ("configurable", "metadata"):
                    member = stored.get(key)
                    if isinstance(member, dict) and CUSTOM_KEY in member:
                        opened = {**opened, key: self._open_object(model, name, member, ID_KEYS)}
        except SealBroken as error:
            return Unreadable(stored, error)
        return opened

    def _seal_object(self, model: str, name: str, given: dict[str, Any], clear: frozenset[str]) -> dict[str, Any]:
        """`given` encrypted, but for the keys that stay in the `clear`. Nobody else may use our mark."""
        handler = self._seal_json
        assert handler is not None
        plain = {key: value for key, value in given.items() if key != CUSTOM_KEY}
        mine = {key: value for key, value in plain.items() if key not in clear}
        context = current_context()
        made = self._object("encrypt.json", handler, model, name, mine, context) if mine else {}
        return {**plain, **made, CUSTOM_KEY: dict(context)}

    def _open_object(self, model: str, name: str, stored: dict[str, Any], clear: frozenset[str]) -> dict[str, Any]:
        handler = self._open_json
        if handler is None:
            raise SealBroken(
                "Stored data was encrypted by a handler, and the project has none for encrypt.json any more."
            )
        context = stored[CUSTOM_KEY]
        rest = {key: value for key, value in stored.items() if key != CUSTOM_KEY}
        mine = {key: value for key, value in rest.items() if key not in clear}
        if not mine or not isinstance(context, dict):
            return rest
        try:
            return {**rest, **self._object("decrypt.json", handler, model, name, mine, context)}
        except EncryptionFailed as error:
            raise _broken(error) from error

    def _object(
        self,
        called: str,
        handler: Callable[..., Any],
        model: str,
        name: str,
        given: dict[str, Any],
        context: Mapping[str, Any],
    ) -> dict[str, Any]:
        """What a JSON handler makes of `given`. Raises EncryptionFailed if it fails, or adds or leaves out keys."""
        [made] = self._loop.run(called, [partial(_awaited, handler, _told(model, name, context), dict(given))])
        made = self._plaintext(made)
        if not isinstance(made, dict):
            raise EncryptionFailed(f"The encryption handler {called} returned a {type(made).__name__}, not a dict.")
        if made.keys() != given.keys():
            added, missing = sorted(made.keys() - given.keys()), sorted(given.keys() - made.keys())
            raise EncryptionFailed(
                f"The encryption handler {called} must keep the keys of {model}.{name} as they are; "
                f"it has added {added} and left out {missing}."
            )
        plain: dict[str, Any] = to_plain(made)
        return plain

    def _plaintext(self, made: Any) -> Any:
        if not isinstance(made, DecryptResult):
            return made
        if made.replacement is not None and not self._replaces:
            self._replaces = True
            log.warning(
                "a decryption handler offers replacements; they are not stored, data is encrypted anew when it changes"
            )
        return made.plaintext


def _clear_in(name: str) -> frozenset[str]:
    """Keys of a field that are the server's own. In everything else all keys are the users'."""
    return ID_KEYS if name == "metadata" else frozenset()


def _told(model: str, name: str, context: Mapping[str, Any]) -> EncryptionContext:
    return EncryptionContext(model=model, field=name, metadata=dict(context))


async def _awaited(handler: Callable[..., Any], *given: Any) -> Any:
    return await handler(*given)


def _bytes(called: str, made: Any) -> bytes:
    if not isinstance(made, (bytes, bytearray, memoryview)):
        raise EncryptionFailed(f"The encryption handler {called} returned a {type(made).__name__}, not bytes.")
    return bytes(made)


def _broken(error: EncryptionFailed) -> SealBroken:
    return SealBroken(f"Stored data cannot be decrypted: {error.message}")
