"""What a person sees when a process is up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import typer

if TYPE_CHECKING:
    from waystation.config import Config

__all__ = ["database_label", "show_banner", "show_worker_banner"]


def show_banner(
    url: str, graphs: Iterable[str], data: Path | str, watching: str | None = None, workers: int | None = None
) -> None:
    """Print where the server is, what it serves and where it keeps its data, on stderr."""
    rows = {"Serving": url, "API": f"{url}/docs", "Graphs": _names(graphs), "Data": str(data)}
    if workers is not None:
        rows["Workers"] = str(workers)
    if watching is not None:
        rows["Reload"] = watching
    _show("Waystation is ready", rows)


def show_worker_banner(jobs: int, graphs: Iterable[str], data: str, url: str | None) -> None:
    """Print what a worker executes, and where it answers for itself, on stderr."""
    rows = {"Runs": f"{jobs} at the same time", "Graphs": _names(graphs), "Data": data}
    if url is not None:
        rows["Health"] = f"{url}/ok"
    _show("Waystation worker is ready", rows)


def database_label(config: Config) -> str:
    """Where `config` keeps its data, without credentials."""
    if config.database_uri is None:
        return str(config.data_dir)
    parts = urlsplit(config.database_uri)
    host = parts.netloc.rpartition("@")[2] or parse_qs(parts.query).get("host", ["local"])[0]
    return f"PostgreSQL {host}{parts.path}"


def _names(graphs: Iterable[str]) -> str:
    return ", ".join(graphs) or "none"


def _show(title: str, rows: Mapping[str, str]) -> None:
    typer.secho(title, fg="green", bold=True, err=True)
    for name, value in {**rows, "Stop": "Ctrl-C"}.items():
        typer.echo(f"  {name:8} {value}", err=True)
