"""What encrypted data begins with, or has among its keys: so that it can be told from what was stored in the clear."""

from __future__ import annotations

__all__ = ["AES_BLOB", "AES_TOKEN", "BLOB_MARKS", "CUSTOM_BLOB", "CUSTOM_KEY"]

AES_BLOB, CUSTOM_BLOB = b"\xe1", b"\xe2"
"""First byte of encrypted bytes. Nothing that is stored in the clear begins with one of them: neither JSON nor any format of
checkpoints."""

AES_TOKEN = "waystation:aes:1:"
"""Begins a string that stands for a JSON value encrypted with a key."""

CUSTOM_KEY = "__encryption_context__"
"""Beside the keys of an object that handlers have encrypted."""

BLOB_MARKS = {AES_BLOB[0]: "with LANGGRAPH_AES_KEY", CUSTOM_BLOB[0]: "by the handlers of `encryption.path`"}
"""Who has encrypted bytes that begin so."""
