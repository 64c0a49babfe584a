"""Which files make up a project: what `waystation dev` loads anew for."""

from __future__ import annotations

from pathlib import Path

from watchfiles import Change, DefaultFilter

__all__ = ["ProjectFilter"]


class ProjectFilter(DefaultFilter):
    """Lets Python files, .env files and the configuration file through, outside of environments, caches and data.

    Other files do not count: graphs write notes and reports, and must not restart the server by that.
    """

    ignore_dirs = (*DefaultFilter.ignore_dirs, ".waystation", ".langgraph_api", "venv", ".ruff_cache")

    def __init__(self, config_path: Path) -> None:
        super().__init__()
        self.config_path = config_path

    def __call__(self, change: Change, path: str) -> bool:
        file = Path(path)
        counts = (
            file.suffix == ".py" or file == self.config_path or file.name == ".env" or file.name.startswith(".env.")
        )
        return counts and super().__call__(change, path)
