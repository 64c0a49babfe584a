"""A graph that cannot be loaded: the message names the graph, the file, the line and the cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from waystation.errors import GraphLoadError
from waystation.graphs import Graphs

Write = Callable[[str, str], Path]
Load = Callable[..., Graphs]


def failure(load: Load, reference: str) -> str:
    with pytest.raises(GraphLoadError) as caught:
        load({"agent": reference})
    message = str(caught.value)
    assert message.startswith(f"Graph 'agent' ({reference}) could not be loaded: ")
    return message


def test_a_missing_file(load: Load, tmp_path: Path) -> None:
    assert f"the file {tmp_path / 'agent.py'} does not exist" in failure(load, "./agent.py:graph")


def test_a_file_that_is_not_python(write: Write, load: Load) -> None:
    path = write("agent.ts", "export const graph = 1")

    assert f"{path}: only Python files" in failure(load, "./agent.ts:graph")


def test_a_missing_module(load: Load) -> None:
    assert "ModuleNotFoundError: No module named 'wsnowhere'" in failure(load, "wsnowhere.flow:graph")


def test_a_syntax_error(write: Write, load: Load) -> None:
    path = write("agent.py", "x = 1\ndef broken(:\n")

    assert f"{path}, line 2: SyntaxError: " in failure(load, "./agent.py:graph")


def test_a_syntax_error_in_a_module_that_the_graph_imports(write: Write, load: Load) -> None:
    write("agent.py", "import wsbroken\n")
    path = write("wsbroken.py", "\n\nif True\n")

    assert f"{path}, line 3: SyntaxError: expected ':'" in failure(load, "./agent.py:graph")


def test_an_exception_while_importing(write: Write, load: Load) -> None:
    path = write("agent.py", "import os\n\nkey = os.environ['WSTEST_MISSING']\n")

    assert f"{path}, line 3: KeyError: 'WSTEST_MISSING'" in failure(load, "./agent.py:graph")


def test_the_line_is_the_innermost_of_the_users_own(write: Write, load: Load) -> None:
    write("agent.py", "import wsmodels\nwsmodels.connect()\n")
    path = write("wsmodels.py", "import json\n\ndef connect():\n    json.loads('{')\n")

    assert f"{path}, line 4: json.decoder.JSONDecodeError: " in failure(load, "./agent.py:graph")


def test_packages_installed_inside_the_project_are_not_the_users_own(write: Write, load: Load) -> None:
    write(".venv/lib/site-packages/wsinstalled.py", "def fail():\n    raise ValueError('inside')\n")
    path = write(
        "agent.py",
        """
        import sys, os
        sys.path.append(os.path.join(os.path.dirname(__file__), ".venv/lib/site-packages"))
        import wsinstalled
        wsinstalled.fail()
        """,
    )

    assert f"{path}, line 5: ValueError: inside" in failure(load, "./agent.py:graph")


def test_a_module_that_leaves(write: Write, load: Load) -> None:
    path = write("agent.py", "import sys\nsys.exit(3)\n")

    assert f"{path}, line 2: SystemExit: 3" in failure(load, "./agent.py:graph")


def test_a_relative_import(write: Write, load: Load) -> None:
    path = write("agent.py", "from .tools import search\n")
    message = failure(load, "./agent.py:graph")

    assert f"{path}, line 1: ImportError" in message
    assert "import from it by absolute name" in message


def test_a_missing_variable(write: Write, load: Load, static_source: str) -> None:
    path = write("agent.py", static_source)

    assert f"{path}: there is no variable 'grahp'; graphs there: builder, graph" in failure(load, "./agent.py:grahp")


@pytest.mark.parametrize(
    ("source", "kind"),
    [("graph = 5", "int"), ("graph: int = 5", "int"), ("a, graph = 1, 'x'", "str"), ("import os as graph", "module")],
)
def test_a_value_that_is_no_graph(write: Write, load: Load, source: str, kind: str) -> None:
    path = write("agent.py", "\n" + source)

    assert f"{path}, line 2: 'graph' is a {kind}; it must be a compiled graph" in failure(load, "./agent.py:graph")


def test_a_graph_that_does_not_compile(write: Write, load: Load) -> None:
    path = write(
        "agent.py",
        """
        from langgraph.graph import START, MessagesState, StateGraph
        graph = StateGraph(MessagesState)
        graph.add_edge(START, "nowhere")
        """,
    )
    message = failure(load, "./agent.py:graph")

    assert f"{path}, line 3: the graph does not compile: " in message
    assert "nowhere" in message


@pytest.mark.parametrize(
    ("signature", "cause"),
    [
        ("config, other", "exactly one must be annotated as ServerRuntime"),
        ("config: ServerRuntime, runtime: ServerRuntime", "exactly one must be annotated as ServerRuntime"),
        ("a, b, c", "the factory takes 3 parameters"),
        ("*args", "the factory takes *args"),
        ("config, **rest", "the factory takes **rest"),
    ],
)
def test_a_factory_with_a_bad_signature(write: Write, load: Load, signature: str, cause: str) -> None:
    path = write(
        "agent.py", f"from langgraph_sdk.runtime import ServerRuntime\nasync def graph({signature}):\n    return None\n"
    )
    message = failure(load, "./agent.py:graph")

    assert f"{path}, line 2: " in message
    assert cause in message


def test_a_factory_whose_signature_cannot_be_read(write: Write, load: Load) -> None:
    path = write("agent.py", "graph = dict\n")

    assert f"{path}, line 1: the signature of the factory cannot be read" in failure(load, "./agent.py:graph")


def test_a_file_that_failed_can_be_loaded_once_it_is_repaired(write: Write, load: Load, static_source: str) -> None:
    write("agent.py", "raise RuntimeError('not yet')\n")
    failure(load, "./agent.py:graph")
    write("agent.py", static_source)

    assert load({"agent": "./agent.py:graph"}).is_static("agent")
