"""A project of real graph files in a temporary directory."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from waystation.config import Config, GraphSpec
from waystation.graphs import Graphs

STATIC = """
from typing_extensions import TypedDict
from langgraph.graph import END, START, StateGraph

class State(TypedDict, total=False):
    x: str

def node(state):
    return {"x": (state.get("x") or "") + "!"}

builder = StateGraph(State)
builder.add_node("echo", node)
builder.add_edge(START, "echo")
builder.add_edge("echo", END)
graph = builder.compile()
"""
"""The source of a module with a one-node ``graph`` and its uncompiled ``builder``."""

LoadProject = Callable[..., Graphs]


@pytest.fixture(autouse=True)
def _process_state() -> Iterator[None]:
    """What loading graphs changes in the process, put back."""
    path, modules, environ = list(sys.path), set(sys.modules), dict(os.environ)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if (file := getattr(sys.modules[name], "__file__", None)) and "site-packages" not in file:
            del sys.modules[name]
    os.environ.clear()
    os.environ.update(environ)


@pytest.fixture
def static_source() -> str:
    return STATIC


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file of the project, dedented."""

    def write_file(name: str, source: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    return write_file


@pytest.fixture
def load(tmp_path: Path) -> LoadProject:
    """Load the graphs given as ``graph_id="reference"``."""

    def load_project(references: dict[str, str], **settings: Any) -> Graphs:
        specs = {graph_id: GraphSpec(graph_id, reference) for graph_id, reference in references.items()}
        return Graphs.load(Config(project_dir=tmp_path, graphs=specs, **settings))

    return load_project
