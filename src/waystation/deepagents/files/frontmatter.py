"""Markdown with YAML frontmatter: how skills and subagents are written down (MDA 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from waystation.deepagents.errors import InvalidAgent
from waystation.encoding import encode

__all__ = ["read", "require_readable", "write"]

FENCE = "---"

_READ_AGAIN = re.compile(r"---\s*\n(.*?)\n---\s*\n", re.DOTALL)
"""What the library takes for frontmatter."""

LONGEST = 16 * 1024
"""Characters of a frontmatter: YAML takes long to read."""


def write(fields: Mapping[str, str | None], body: str) -> str:
    """`body` below a fenced block with those of the `fields` that are given: `read` gives back exactly the same."""
    lines = [f"{name}: {encode(value).decode()}" for name, value in fields.items() if value is not None]
    return "\n".join([FENCE, *lines, FENCE, "", body])


def read(text: str, path: str) -> tuple[dict[str, str], str]:
    """The text fields of the frontmatter, if there is any, and the body. Others (lists, say) belong to whoever reads the file
    itself. Raises InvalidAgent, naming the `path`."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != FENCE:
        return {}, text
    end = next((at for at, line in enumerate(lines[1:], 1) if line.rstrip() == FENCE), None)
    if end is None:
        raise InvalidAgent(f"close the frontmatter of {path!r} with a line '---': it has no end")
    fields = _fields("\n".join(lines[1:end]), path)
    rest = lines[end + 1 :]
    if rest and not rest[0].strip():
        rest = rest[1:]
    return fields, "\n".join(rest)


def require_readable(text: str, path: str) -> None:
    """Raises InvalidAgent for a skill that `read` accepts and the library, which reads it again in a run, would leave out or fail
    for."""
    found = _READ_AGAIN.match(text)
    if found is None:
        raise InvalidAgent(f"end the line '---' below the frontmatter of {path!r}: the file ends in it")
    import yaml

    try:
        yaml.load(found[1], getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError):
        raise InvalidAgent(
            f"put the values in the frontmatter of {path!r} into quotes: one looks like a date or a number and is none"
        ) from None


def _fields(block: str, path: str) -> dict[str, str]:
    if not block.strip():
        return {}
    if len(block) > LONGEST:
        raise InvalidAgent(f"shorten the frontmatter of {path!r}: it has more than {LONGEST} characters")
    import yaml  # takes long to load, and most requests are about no file

    try:
        # The base loader makes nothing but texts, lists and maps: a description may be "yes" or a date.
        found = yaml.load(block, getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" (line {mark.line + 2})"
        raise InvalidAgent(f"correct the frontmatter of {path!r}: it is not YAML{where}") from None
    if not isinstance(found, dict):
        raise InvalidAgent(f"correct the frontmatter of {path!r}: it must be a list of 'name: value' lines")
    return {name: value for name, value in found.items() if isinstance(value, str)}
