"""Namespaces: tuples of labels, kept as text that sorts like the tuples.

The first label of what is stored is the workspace, which nobody sees who asks from within it: a namespace of another one
cannot even be named. What the server itself keeps for a workspace is in areas beside it, which nobody can name either. Each label is followed by a tab, so that everything below a prefix is one range of the index. Labels may hold control
characters: those up to the newline become a newline and a letter, which keeps both the order and the meaning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from langgraph.store.base import InvalidNamespaceError, MatchCondition

__all__ = ["after", "decode_namespace", "encode_namespace", "literal_head", "matches", "root_of", "subtree_end"]

_END = "\t"
_ESCAPE = "\n"
_LOW = re.compile("[\x01-\x0a]")
_ESCAPED = re.compile("\n(.)")

WILDCARD = "*"
"""In a match condition: any one label."""


def encode_namespace(labels: Sequence[str]) -> str:
    """The stored form. Raises InvalidNamespaceError for a label that is not a non-empty string without ``.`` and NUL."""
    for label in labels:
        _check(label, labels)
    return "".join(_LOW.sub(_escape, label) + _END for label in labels)


def root_of(workspace: str, area: str = "") -> str:
    """What the stored form of every namespace in the workspace begins with, or in an `area` beside it. No workspace's name has a
    control character, so no workspace has the root of an area."""
    return f"{workspace}{_ESCAPE}{area}{_END}" if area else workspace + _END


def decode_namespace(text: str) -> tuple[str, ...]:
    """The labels of a namespace in its stored form, with the workspace if `text` has it."""
    labels = text.split(_END)[:-1]
    if _ESCAPE in text:
        labels = [_ESCAPED.sub(_unescape, label) for label in labels]
    return tuple(labels)


def subtree_end(prefix: str) -> str:
    """The least text beyond every namespace at or below `prefix`, which is an encoded one and not the root."""
    return prefix[:-1] + _ESCAPE


def after(namespace: str) -> str:
    """The least text beyond the encoded `namespace` that no other namespace precedes."""
    return namespace + "\x01"


def literal_head(conditions: Sequence[MatchCondition]) -> tuple[str, ...]:
    """The longest prefix without wildcard that all matching namespaces have."""
    heads = [_until_wildcard(condition.path) for condition in conditions if condition.match_type == "prefix"]
    return max(heads, key=len, default=())


def matches(conditions: Sequence[MatchCondition], namespace: tuple[str, ...]) -> bool:
    """Whether `namespace` meets every condition."""
    return all(_matches(condition, namespace) for condition in conditions)


def _matches(condition: MatchCondition, namespace: tuple[str, ...]) -> bool:
    path = condition.path
    if len(path) > len(namespace):
        return False
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(wanted in (WILDCARD, label) for wanted, label in zip(path, part, strict=True))


def _until_wildcard(path: tuple[str, ...]) -> tuple[str, ...]:
    return path[: path.index(WILDCARD)] if WILDCARD in path else tuple(path)


def _check(label: object, labels: Sequence[str]) -> None:
    if not isinstance(label, str):
        raise InvalidNamespaceError(f"The label {label!r} of the namespace {list(labels)} is not a string.")
    if not label:
        raise InvalidNamespaceError(f"The namespace {list(labels)} has an empty label.")
    if "." in label or "\0" in label:
        raise InvalidNamespaceError(f"The label {label!r} of a namespace contains a period or a NUL character.")
    try:
        label.encode()
    except UnicodeEncodeError:
        raise InvalidNamespaceError(f"The label {label!r} of a namespace is not valid Unicode text.") from None


def _escape(match: re.Match[str]) -> str:
    return _ESCAPE + chr(ord(match[0]) + 0x40)


def _unescape(match: re.Match[str]) -> str:
    return chr(ord(match[1]) - 0x40)
