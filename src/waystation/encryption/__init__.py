"""Encryption at rest: with a key (`aes`), or by the project's own handlers (`custom`). See docs/encryption.md."""

from waystation.encryption.project import encryption_of

__all__ = ["encryption_of"]
