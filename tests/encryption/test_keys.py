"""Keys, what they encrypt, and how they are given."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.encryption.conftest import KEY, OLD_KEY
from waystation.config import Config, EncryptionConfig, load_config
from waystation.encryption.keys import Keyring, key_id
from waystation.errors import ConfigError, SealBroken


@pytest.mark.parametrize("length", [16, 24, 32])
def test_what_is_sealed_can_be_opened(length: int) -> None:
    ring = Keyring(b"x" * length, [])
    sealed = ring.seal(b"text", b"here")
    assert b"text" not in sealed
    assert Keyring(None, [b"x" * length]).open(sealed, b"here") == b"text"
    assert ring.seal(b"text", b"here") != sealed


def test_a_text_is_bound_to_its_place() -> None:
    ring = Keyring(KEY, [])
    with pytest.raises(SealBroken, match="moved from somewhere else"):
        ring.open(ring.seal(b"text", b"here"), b"there")


@pytest.mark.parametrize("at", [0, 4, 16, 28, -1])
def test_every_byte_counts(at: int) -> None:
    ring = Keyring(KEY, [OLD_KEY])
    sealed = bytearray(ring.seal(b"text", b"here"))
    sealed[at] ^= 1
    with pytest.raises(SealBroken):
        ring.open(bytes(sealed), b"here")


def test_a_key_that_is_missing_is_named() -> None:
    sealed = Keyring(OLD_KEY, []).seal(b"text", b"here")
    with pytest.raises(SealBroken, match=key_id(OLD_KEY).hex()):
        Keyring(KEY, []).open(sealed, b"here")


def test_the_derived_key_changes_before_nonces_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("waystation.encryption.keys.TEXTS_PER_SALT", 3)
    ring = Keyring(KEY, [])
    sealed = [ring.seal(b"text", b"here") for _ in range(9)]
    assert len({each[4:16] for each in sealed}) == 3
    assert {ring.open(each, b"here") for each in sealed} == {b"text"}


def load(tmp_path: Path, environ: dict[str, str], **keys: Any) -> Config:
    path = tmp_path / "langgraph.json"
    path.write_text(json.dumps({"graphs": {}, **keys}))
    return load_config(path, environ)


def test_how_keys_are_given(tmp_path: Path) -> None:
    environ = {
        "LANGGRAPH_AES_KEY": "base64:" + base64.b64encode(bytes(range(32))).decode(),
        "WAYSTATION_AES_OLD_KEYS": f"{'o' * 16}, {'p' * 24}",
        "LANGGRAPH_AES_JSON_KEYS": "email, ssn,email",
    }
    config = load(tmp_path, environ)
    assert config.encryption == EncryptionConfig(
        aes_key=bytes(range(32)), old_keys=(b"o" * 16, b"p" * 24), json_keys=("email", "ssn")
    )
    assert "ooo" not in repr(config)
    assert load(tmp_path, {}).encryption is None


def test_handlers_may_come_from_the_environment(tmp_path: Path) -> None:
    config = load(tmp_path, {"LANGGRAPH_ENCRYPTION": json.dumps({"path": "./e.py:encryption"})})
    assert config.encryption == EncryptionConfig("./e.py:encryption")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"LANGGRAPH_AES_KEY": "hush-hush"}, "LANGGRAPH_AES_KEY must be 16, 24 or 32 bytes long; it has 9"),
        ({"LANGGRAPH_AES_KEY": "base64:%%"}, "LANGGRAPH_AES_KEY must be valid base64"),
        ({"WAYSTATION_AES_OLD_KEYS": f"{'o' * 16},hush-hush"}, "WAYSTATION_AES_OLD_KEYS must be 16, 24 or 32"),
        ({"LANGGRAPH_AES_JSON_KEYS": "email"}, "LANGGRAPH_AES_JSON_KEYS means nothing without LANGGRAPH_AES_KEY"),
        ({"WAYSTATION_AES_SEARCHABLE_VALUES": "yes"}, "WAYSTATION_AES_SEARCHABLE_VALUES means nothing without"),
        ({"LANGGRAPH_ENCRYPTION": "{}"}, "encryption.path: the key is missing"),
    ],
)
def test_settings_that_would_not_encrypt_are_refused(tmp_path: Path, environ: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, environ)
    assert told in refusal.value.message
    assert "hush" not in refusal.value.message
