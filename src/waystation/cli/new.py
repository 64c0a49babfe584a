"""`waystation new`: a project from a template."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import typer

from waystation.errors import ConfigError

__all__ = ["create_project", "next_steps"]

TEMPLATES = Path(__file__).parent / "templates"
COMMON = "common"
"""The directory of the files that every project gets."""

OFFLINE = "offline"
"""The directory with the model that a project has of its own."""

HIDDEN = "dot-"
"""Stands for the leading dot of a file name, which packaging tools overlook."""

EXTRAS = {"deepagent": "deepagents"}
"""Package, and extra of the same name, that a template needs beyond Waystation's own dependencies."""


def create_project(path: Path, template: str) -> None:
    """Write the project `template` to the directory `path`. Raises ConfigError if that exists and is not empty."""
    if path.is_dir() and any(path.iterdir()):
        raise ConfigError(f"{path} is not empty: nothing was written. Name a new directory.")
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file: nothing was written. Name a new directory.")
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name, text in _files(template):
            (path / name).write_text(text.replace("{{project}}", path.resolve().name), "utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from error


def next_steps(path: Path, template: str) -> None:
    """Print what to type after `create_project`."""
    typer.secho(f"Created {path} from the template {template}. Next:", fg="green")
    extra = EXTRAS.get(template)
    if extra is not None and importlib.util.find_spec(extra) is None:
        typer.echo(f"  pip install 'waystation[{extra}]'    # this template needs {extra}, which is not installed")
    typer.echo(f"  cd {path}")
    typer.echo("  waystation dev")
    typer.echo("It runs without a model key. README.md shows a first request.")


def _directories(template: str) -> list[Path]:
    """Where the files of a project are. A deep agent needs no model of its own: there is `demo:chat`."""
    return [TEMPLATES / each for each in (COMMON, *([OFFLINE] if template != "deepagent" else []), template)]


def _files(template: str) -> Iterator[tuple[str, str]]:
    """Names and texts of the files of a project."""
    for directory in _directories(template):
        for file in sorted(directory.iterdir()):
            if file.is_file():
                name = "." + file.name.removeprefix(HIDDEN) if file.name.startswith(HIDDEN) else file.name
                yield name, file.read_text("utf-8")
                if name == ".env.example":
                    yield ".env", file.read_text("utf-8")
