"""YAML between ``---`` lines at the head of a Markdown file."""

from __future__ import annotations

from typing import Any

import yaml

from waystation.errors import UnprocessableInput

__all__ = ["split_frontmatter"]

FENCE = "---"


def split_frontmatter(path: str, text: str) -> tuple[dict[str, Any] | None, str]:
    """The frontmatter of the file `path` and what follows it, without the blank lines in between.

    None if `text` does not begin with a fence; an empty block is an empty object. Raises UnprocessableInput that names file
    and line.
    """
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    if not lines or lines[0].rstrip() != FENCE:
        return None, text
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == FENCE), None)
    if end is None:
        raise UnprocessableInput(f"{path}: the frontmatter begins with --- but no line --- ends it.")
    try:
        values = yaml.safe_load("".join(lines[1:end]))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 2}" if mark is not None else ""
        raise UnprocessableInput(f"{path}{place}: the frontmatter is not YAML.") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise UnprocessableInput(f"{path}: the frontmatter must hold `key: value` lines.")
    return {str(key): value for key, value in values.items()}, "".join(lines[end + 1 :]).lstrip("\r\n")
