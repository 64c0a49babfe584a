"""A tree of files: which paths and sizes there may be, and the revision that names its content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from waystation.deepagents.errors import InvalidAgent
from waystation.encoding import encode

__all__ = ["Files", "Manifest", "check_free", "check_path", "check_tree", "digest_of", "manifest_of", "revision_of"]

Files = Mapping[str, str]
"""Contents by path."""

Manifest = Mapping[str, str]
"""Digests of contents by path."""

MOST_FILES = 1_000
LONGEST_PATH = 512
"""Characters."""

RESERVED = ("memories", "large_tool_results", "conversation_history")
"""Directories that belong to the running agent: its memory, and what the library puts aside."""

LARGEST_FILE = 1024 * 1024
"""Bytes in UTF-8."""

LARGEST_TREE = 8 * 1024 * 1024
"""Bytes of all files."""


def check_path(path: str, where: str) -> None:
    """Raise InvalidAgent, naming `where` the path stands, unless it is relative, plain, and leads nowhere outside."""
    shown = repr(path[:100])
    if not path or len(path) > LONGEST_PATH:
        raise InvalidAgent(f"give {where} paths of 1 to {LONGEST_PATH} characters: {shown} is not one")
    if path.startswith("/"):
        raise InvalidAgent(f"make the path {shown} in {where} relative: it begins with '/'")
    if "\\" in path or not path.isprintable():
        raise InvalidAgent(
            f"change the path {shown} in {where}: it has a backslash or a character that cannot be printed"
        )
    if any(segment in ("", ".", "..") for segment in path.split("/")):
        raise InvalidAgent(f"change the path {shown} in {where}: none of its segments may be empty, '.' or '..'")


def check_free(path: str) -> None:
    """Raise InvalidAgent for a file that the running agent would not see, because it has one of its own there."""
    first = path.partition("/")[0]
    if first in RESERVED:
        raise InvalidAgent(f"move {path[:100]!r} to another directory: {first}/ belongs to the running agent")


def check_tree(files: Files) -> None:
    """Raise InvalidAgent for too much, or for a file that would have to be a directory as well."""
    if len(files) > MOST_FILES:
        raise InvalidAgent(f"remove files: an agent has at most {MOST_FILES}, this one has {len(files)}")
    total = 0
    for path, content in files.items():
        size = len(content.encode())
        total += size
        if size > LARGEST_FILE:
            raise InvalidAgent(f"shorten {path!r}: it has {size} bytes, and a file has at most {LARGEST_FILE}")
        above = path
        while "/" in above:
            above = above.rpartition("/")[0]
            if above in files:
                raise InvalidAgent(f"remove {above!r} or rename it: there is a file below it, {path!r}")
    if total > LARGEST_TREE:
        raise InvalidAgent(f"remove files: an agent's have at most {LARGEST_TREE} bytes in all, these have {total}")


def digest_of(content: str) -> str:
    """SHA-256 of a file's content, in hex."""
    return hashlib.sha256(content.encode()).hexdigest()


def manifest_of(files: Files) -> Manifest:
    """What the tree consists of."""
    return {path: digest_of(content) for path, content in files.items()}


def revision_of(manifest: Manifest) -> str:
    """64 hex digits that are the same for the same tree."""
    return hashlib.sha256(encode(sorted(manifest.items()))).hexdigest()
