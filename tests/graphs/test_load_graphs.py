"""Every form of reference and of graph that ``langgraph.json`` may name (spec 17.1)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import Pregel
from langgraph.store.memory import InMemoryStore
from structlog.testing import capture_logs

from waystation.config import Config, GraphSpec
from waystation.errors import NotFound
from waystation.graphs import Graphs

Write = Callable[[str, str], Path]
Load = Callable[..., Graphs]


async def opened(graphs: Graphs, graph_id: str) -> Pregel[Any, Any, Any, Any]:
    async with graphs.open(graph_id, config={}, access_context="threads.read") as graph:
        return graph


async def test_a_compiled_graph_in_a_file(write: Write, load: Load, static_source: str) -> None:
    write("agent.py", static_source)
    graphs = load({"agent": "./agent.py:graph"})

    graph = await opened(graphs, "agent")
    assert await graph.ainvoke({"x": "hi"}) == {"x": "hi!"}
    assert graphs.ids == ("agent",)
    assert "agent" in graphs
    assert "other" not in graphs


async def test_a_graph_in_a_dotted_module_of_a_dependency(
    write: Write, load: Load, static_source: str, tmp_path: Path
) -> None:
    write("libs/wspkg/__init__.py", "")
    write("libs/wspkg/flow.py", static_source)
    graphs = load({"agent": "wspkg.flow:graph"}, dependencies=(str(tmp_path / "libs"),))

    assert await (await opened(graphs, "agent")).ainvoke({"x": "a"}) == {"x": "a!"}


async def test_a_file_name_without_a_slash(write: Write, load: Load, static_source: str) -> None:
    write("agent.py", static_source)

    assert await (await opened(load({"a": "agent.py:graph"}), "a")).ainvoke({"x": "a"}) == {"x": "a!"}


async def test_an_absolute_file(write: Write, load: Load, static_source: str) -> None:
    path = write("deep/er/agent.py", static_source)

    assert await (await opened(load({"a": f"{path}:graph"}), "a")).ainvoke({"x": "a"}) == {"x": "a!"}


async def test_a_graph_that_is_not_compiled(write: Write, load: Load, static_source: str) -> None:
    write("agent.py", static_source)
    graphs = load({"agent": "./agent.py:builder"})

    assert await (await opened(graphs, "agent")).ainvoke({"x": "a"}) == {"x": "a!"}
    assert graphs.name("agent") == "agent"


async def test_a_functional_entrypoint(write: Write, load: Load) -> None:
    write(
        "flow.py",
        """
        from langgraph.func import entrypoint

        @entrypoint()
        def flow(n: int) -> int:
            return n + 1
        """,
    )

    assert await (await opened(load({"f": "./flow.py:flow"}), "f")).ainvoke(1) == 2


def test_siblings_of_the_file_the_project_and_its_src_directory_can_be_imported(write: Write, load: Load) -> None:
    write("wsnear/wssibling.py", "A = 1")
    write("wsroot.py", "B = 2")
    write("src/wspackage/__init__.py", "C = 3")
    write("wsnear/agent.py", "import wssibling, wsroot, wspackage\ndef graph(): return None\n")

    assert "a" in load({"a": "./wsnear/agent.py:graph"})


def test_a_file_runs_once_however_many_graphs_it_holds(write: Write, load: Load, static_source: str) -> None:
    write("wscount.py", "runs = []")
    write("agent.py", "import wscount\nwscount.runs.append(1)\n" + static_source)
    graphs = load({"a": "./agent.py:graph", "b": "./agent.py:builder", "c": "agent.py:graph"})

    assert sys.modules["wscount"].runs == [1]
    assert [graphs.name(graph_id) for graph_id in graphs.ids] == ["a", "b", "c"]


def test_modules_have_stable_names_and_files_of_the_same_name_do_not_meet(
    write: Write, load: Load, tmp_path: Path
) -> None:
    for place in ("one", "two"):
        write(f"{place}/agent.py", "class Kind: pass\nKIND = Kind\ndef graph(): return None\n")
    load({"a": "./one/agent.py:graph", "b": "./two/agent.py:graph"})
    names = {name for name in sys.modules if name.startswith("waystation_graph_agent_")}
    load({"a": "./one/agent.py:graph", "b": "./two/agent.py:graph"})

    assert len(names) == 2
    assert {name for name in sys.modules if name.startswith("waystation_graph_agent_")} == names


def test_two_projects_in_one_process_keep_their_modules_apart(tmp_path: Path) -> None:
    for project in ("p", "q"):
        (tmp_path / project).mkdir()
        (tmp_path / project / "agent.py").write_text(f"WHO = {project!r}\ndef graph(): return None\n")
        specs = {"a": GraphSpec("a", "./agent.py:graph")}
        Graphs.load(Config(project_dir=tmp_path / project, graphs=specs))

    modules = [module for name, module in sys.modules.items() if name.startswith("waystation_graph_agent_")]
    assert sorted(module.WHO for module in modules) == ["p", "q"]


def test_variables_of_the_project_reach_graphs_but_do_not_replace_those_of_the_process(
    write: Write, load: Load
) -> None:
    os.environ["WSTEST_HAS"] = "process"
    write("agent.py", "import os\nassert os.environ['WSTEST_KEY'] == 'project'\ndef graph(): return None\n")
    load({"a": "./agent.py:graph"}, env={"WSTEST_KEY": "project", "WSTEST_HAS": "project"})

    assert os.environ["WSTEST_HAS"] == "process"


async def test_names_and_descriptions_of_default_assistants(write: Write, static_source: str, tmp_path: Path) -> None:
    write("agent.py", static_source + "named = builder.compile(name='Researcher')\ndef make(): return named\n")
    specs = {
        "plain": GraphSpec("plain", "./agent.py:graph", "Says it louder."),
        "named": GraphSpec("named", "./agent.py:named"),
        "made": GraphSpec("made", "./agent.py:make"),
    }
    graphs = Graphs.load(Config(project_dir=tmp_path, graphs=specs))

    assert {graph_id: graphs.name(graph_id) for graph_id in graphs.ids} == {
        "plain": "plain",
        "named": "Researcher",
        "made": "made",
    }
    assert graphs.description("plain") == "Says it louder."
    assert graphs.description("named") is None
    assert (await opened(graphs, "made")).name == "Researcher"
    assert graphs.spec("made").reference == "./agent.py:make"


async def test_a_graphs_own_checkpointer_and_store_are_replaced_with_a_warning(
    write: Write, load: Load, static_source: str
) -> None:
    write(
        "agent.py",
        static_source
        + "from langgraph.checkpoint.memory import InMemorySaver\nfrom langgraph.store.memory import InMemoryStore\n"
        + "own = builder.compile(checkpointer=InMemorySaver(), store=InMemoryStore())\n"
        + "off = builder.compile(checkpointer=False)\n",
    )
    with capture_logs() as logs:
        graphs = load({"own": "./agent.py:own", "off": "./agent.py:off"})

    assert [(entry["graph_id"], entry["event"].split("'s own ")[1].split()[0]) for entry in logs] == [
        ("own", "checkpointer"),
        ("own", "store"),
        ("off", "checkpointer"),
    ]
    store, saver = InMemoryStore(), InMemorySaver()
    graphs.attach(store)
    for graph_id in graphs.ids:
        graph = await opened(graphs, graph_id)
        assert graph.store is store
        assert graph.checkpointer is None
        config: Any = {"configurable": {"thread_id": "t", "__pregel_checkpointer": saver, "checkpoint_ns": ""}}
        await graph.ainvoke({"x": "a"}, config)
        assert (await graph.aget_state(config)).values == {"x": "a!"}
    module = next(module for name, module in sys.modules.items() if name.startswith("waystation_graph_agent_"))
    assert module.own.checkpointer is not None, "the user's object is left alone"


async def test_opening_a_graph_that_exists_gives_the_same_object_each_time(
    write: Write, load: Load, static_source: str
) -> None:
    write("agent.py", static_source)
    graphs = load({"agent": "./agent.py:graph"})

    assert await opened(graphs, "agent") is await opened(graphs, "agent")


async def test_an_unknown_graph_is_not_found(write: Write, load: Load) -> None:
    graphs = load({})

    for ask in (graphs.spec, graphs.name, graphs.description, graphs.is_static):
        with pytest.raises(NotFound, match="'nope'"):
            ask("nope")
    with pytest.raises(NotFound, match="'nope'"):
        graphs.open("nope", config={}, access_context="threads.read")
