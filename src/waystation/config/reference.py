"""The tables of ``docs/configuration.md``, made from the registry.

``python -m waystation.config.reference docs/configuration.md`` writes them anew between the file's markers.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from waystation.config.settings import SECTIONS, SETTINGS, default_of

__all__ = ["render"]


def render(document: str) -> str:
    """`document` with the text between each pair of markers replaced by the table of that name. Raises KeyError."""
    tables = {"variables": _variables(), "sections": _sections()}
    return re.sub(
        r"(<!-- (\w+):begin -->\n).*?(<!-- \2:end -->)",
        lambda match: match[1] + tables[match[2]] + match[3],
        document,
        flags=re.DOTALL,
    )


def _variables() -> str:
    rows = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for setting in SETTINGS:
        names = f"`{setting.variable}`" + "".join(f", also `{alias}`" for alias in setting.aliases)
        rows.append(f"| {names} | {default_of(setting)} | {setting.help} |")
    return "\n".join(rows) + "\n"


def _sections() -> str:
    rows = ["| Variable | Section |", "|---|---|"]
    rows += [f"| `{variable}` | `{section}` |" for variable, section in SECTIONS.items()]
    return "\n".join(rows) + "\n"


def _main(path: Path) -> None:
    path.write_text(render(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
