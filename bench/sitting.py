"""What every script that compares systems needs: what other scripts measure, and somewhere to print."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

__all__ = ["json_of", "output"]

BENCH = Path(__file__).parent

WIDTH = 130
"""Characters of a line where there is no terminal to ask."""


def output() -> Console:
    """Where tables go."""
    return Console(width=None if sys.stdout.isatty() else WIDTH)


def json_of(script: str, *arguments: str) -> dict[str, Any]:
    """The JSON object that a script of this directory prints last."""
    done = subprocess.run(
        [sys.executable, str(BENCH / script), *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
