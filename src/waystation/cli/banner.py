"""What a person sees when the server is up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

__all__ = ["show_banner"]


def show_banner(url: str, graphs: Iterable[str], data_dir: Path | str, watching: str | None = None) -> None:
    """Print where the server is, what it serves and where it keeps its data, on stderr."""
    rows = {"Serving": url, "API": f"{url}/docs", "Graphs": ", ".join(graphs) or "none", "Data": str(data_dir)}
    if watching is not None:
        rows["Reload"] = watching
    rows["Stop"] = "Ctrl-C"
    typer.secho("Waystation is ready", fg="green", bold=True, err=True)
    for name, value in rows.items():
        typer.echo(f"  {name:8} {value}", err=True)
