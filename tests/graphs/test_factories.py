"""Factories: every signature and every way to give back a graph (spec 17.2)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
from structlog.testing import capture_logs

from waystation.errors import NotAGraph
from waystation.graphs import Graphs

Write = Callable[[str, str], Path]
Load = Callable[..., Graphs]

PARTS = """
import asyncio, contextlib, functools, time
from dataclasses import dataclass
from typing import Annotated, Any, Optional, TYPE_CHECKING
import langgraph_sdk.runtime as rt
from langchain_core.runnables import RunnableConfig
from langgraph_sdk.runtime import ServerRuntime
if TYPE_CHECKING:
    from langgraph_sdk.runtime import ServerRuntime as OnlyForCheckers

calls = []
events = []

@dataclass
class Context:
    model: str = "none"
"""


@pytest.fixture
def project(write: Write, load: Load, static_source: str) -> Callable[[str], Graphs]:
    """Load the ``make`` of a module with this code in it as graph ``agent``."""

    def load_code(code: str) -> Graphs:
        write("agent.py", static_source + PARTS + code)
        return load({"agent": "./agent.py:make"})

    return load_code


def module() -> Any:
    return next(module for name, module in sys.modules.items() if name.startswith("waystation_graph_agent_"))


@pytest.mark.parametrize(
    ("code", "roles"),
    [
        ("def make():\n    calls.append([])\n    return graph", []),
        ("def make(config):\n    calls.append([config])\n    return graph", ["config"]),
        ("def make(c: RunnableConfig):\n    calls.append([c])\n    return graph", ["config"]),
        ("def make(c: 'RunnableConfig'):\n    calls.append([c])\n    return graph", ["config"]),
        ("def make(*, config: dict):\n    calls.append([config])\n    return graph", ["config"]),
        ("def make(r: ServerRuntime):\n    calls.append([r])\n    return graph", ["runtime"]),
        ("def make(r: 'ServerRuntime'):\n    calls.append([r])\n    return graph", ["runtime"]),
        ("def make(r: 'rt.ServerRuntime[Context]'):\n    calls.append([r])\n    return graph", ["runtime"]),
        ("def make(r: 'not_here.ServerRuntime'):\n    calls.append([r])\n    return graph", ["runtime"]),
        ("def make(r: ServerRuntime[Context]):\n    calls.append([r])\n    return graph", ["runtime"]),
        ("def make(r: Annotated[ServerRuntime, 'x']):\n    calls.append([r])\n    return graph", ["runtime"]),
        ("def make(r: Annotated['ServerRuntime[Context]', 1]):\n    calls.append([r])\n    return graph", ["runtime"]),
        ("def make(r: Optional[ServerRuntime]):\n    calls.append([r])\n    return graph", ["runtime"]),
        ("def make(r: ServerRuntime, /):\n    calls.append([r])\n    return graph", ["runtime"]),
        ("def make(c, r: ServerRuntime):\n    calls.append([c, r])\n    return graph", ["config", "runtime"]),
        ("def make(r: ServerRuntime, c):\n    calls.append([r, c])\n    return graph", ["runtime", "config"]),
        ("def make(c, *, r: ServerRuntime):\n    calls.append([c, r])\n    return graph", ["config", "runtime"]),
        ("async def make(c, r: ServerRuntime):\n    calls.append([c, r])\n    return graph", ["config", "runtime"]),
        (
            "class Make:\n    def __call__(self, c, r: 'ServerRuntime'):\n        calls.append([c, r])\n        return graph\n"
            "make = Make()",
            ["config", "runtime"],
        ),
        (
            "def with_model(model, c):\n    calls.append([c])\n    return graph\nmake = functools.partial(with_model, 'm')",
            ["config"],
        ),
        (
            "def with_model(c, model):\n    calls.append([c])\n    return graph\n"
            "make = functools.partial(with_model, model='m')",
            ["config"],
        ),
    ],
)
async def test_a_factory_is_given_what_its_signature_asks_for(
    project: Callable[[str], Graphs], code: str, roles: list[str]
) -> None:
    graphs = project(code)
    async with graphs.open(
        "agent", config={"configurable": {"k": 1}}, access_context="threads.update", store=InMemoryStore()
    ) as graph:
        assert await graph.ainvoke({"x": "a"}) == {"x": "a!"}

    (given,) = module().calls
    assert ["config" if isinstance(value, dict) else "runtime" for value in given] == roles
    assert all(value["configurable"]["k"] == 1 for value in given if isinstance(value, dict))
    assert all(value.access_context == "threads.update" for value in given if not isinstance(value, dict))


@pytest.mark.parametrize(
    "code",
    [
        """
@contextlib.contextmanager
def make(config):
    events.append("open")
    try:
        yield graph
    finally:
        events.append("close")
""",
        """
@contextlib.asynccontextmanager
async def make(runtime: ServerRuntime):
    events.append("open")
    try:
        yield graph
    finally:
        events.append("close")
""",
        """
def make():
    events.append("open")
    try:
        yield graph
    finally:
        events.append("close")
""",
        """
async def make(config):
    events.append("open")
    try:
        yield builder
    finally:
        events.append("close")
""",
        """
class Manager:
    async def __aenter__(self):
        events.append("open")
        return graph
    async def __aexit__(self, *problem):
        events.append("close")
async def make():
    return Manager()
""",
    ],
)
async def test_clean_up_runs_after_use_also_when_the_use_fails(project: Callable[[str], Graphs], code: str) -> None:
    graphs = project(code)
    async with graphs.open("agent", config={}, access_context="threads.read") as graph:
        assert module().events == ["open"]
        assert await graph.ainvoke({"x": "a"}) == {"x": "a!"}
    assert module().events == ["open", "close"]

    with pytest.raises(LookupError, match="mine"):
        async with graphs.open("agent", config={}, access_context="threads.read"):
            raise LookupError("mine")
    assert module().events == ["open", "close"] * 2


async def test_a_factory_that_swallows_exceptions_does_not_hide_a_failed_use(project: Callable[[str], Graphs]) -> None:
    graphs = project(
        """
@contextlib.asynccontextmanager
async def make():
    try:
        yield graph
    except Exception:
        events.append("swallowed")
"""
    )
    with pytest.raises(LookupError):
        async with graphs.open("agent", config={}, access_context="threads.create_run"):
            raise LookupError("mine")
    assert module().events == ["swallowed"]


async def test_a_factory_is_called_for_every_access(project: Callable[[str], Graphs]) -> None:
    graphs = project("def make():\n    calls.append(1)\n    return builder")
    for access_context in ("threads.create_run", "threads.update", "threads.read", "assistants.read"):
        async with graphs.open("agent", config={}, access_context=access_context):
            pass

    assert len(module().calls) == 4
    assert not graphs.is_static("agent")


@pytest.mark.parametrize(
    ("access_context", "executes"),
    [("threads.create_run", True), ("threads.update", False), ("threads.read", False), ("assistants.read", False)],
)
async def test_the_runtime_and_config_tell_execution_from_the_rest(
    project: Callable[[str], Graphs], access_context: Any, executes: bool
) -> None:
    graphs = project("def make(c, r: ServerRuntime[Context]):\n    calls.append((c, r))\n    return graph")
    store, user = InMemoryStore(), object()
    config: RunnableConfig = {"configurable": {"a": 1}, "tags": ["t"]}
    graphs.attach(store)
    async with graphs.open(
        "agent",
        config=config,
        access_context=access_context,
        user=user,
        context={"model": "big", "unknown": 1},
    ) as graph:
        assert graph.store is store

    ((given, runtime),) = module().calls
    assert given == {"configurable": {"a": 1, "__is_for_execution__": executes}, "tags": ["t"]}
    assert config == {"configurable": {"a": 1}, "tags": ["t"]}
    assert runtime.access_context == access_context
    assert runtime.store is store
    assert runtime.ensure_user() is user
    if executes:
        assert runtime.execution_runtime.context == module().Context(model="big")
    else:
        assert runtime.execution_runtime is None


async def test_the_context_of_an_unparameterised_runtime_is_as_given(project: Callable[[str], Graphs]) -> None:
    graphs = project("def make(r: ServerRuntime):\n    calls.append(r.execution_runtime.context)\n    return graph")
    async with graphs.open("agent", config={}, access_context="threads.create_run", context={"model": "m"}):
        pass

    assert module().calls == [{"model": "m"}]


async def test_a_factorys_graph_gets_name_store_and_saver_without_being_touched(
    project: Callable[[str], Graphs],
) -> None:
    graphs = project("def make():\n    return graph")
    attached, given, saver = InMemoryStore(), InMemoryStore(), InMemorySaver()
    graphs.attach(attached, saver)

    async with graphs.open("agent", config={}, access_context="threads.read") as graph:
        assert (graph.name, graph.store, graph.checkpointer) == ("agent", attached, saver)
    async with graphs.open("agent", config={}, access_context="threads.read", store=given) as graph:
        assert graph.store is given
    assert (module().graph.name, module().graph.store, module().graph.checkpointer) == ("LangGraph", None, None)


@pytest.mark.parametrize("code", ["def make():\n    return 5", "async def make():\n    yield 5"])
async def test_what_is_no_graph_is_refused_after_clean_up(project: Callable[[str], Graphs], code: str) -> None:
    graphs = project(code)

    with pytest.raises(NotAGraph, match="'agent' made a int"):
        async with graphs.open("agent", config={}, access_context="threads.read"):
            pass


async def test_clean_up_runs_when_the_factory_gives_no_graph(project: Callable[[str], Graphs]) -> None:
    graphs = project("def make():\n    try:\n        yield 5\n    finally:\n        events.append('close')")

    with pytest.raises(NotAGraph):
        async with graphs.open("agent", config={}, access_context="threads.read"):
            pass
    assert module().events == ["close"]


async def test_what_a_factory_raises_passes_through(project: Callable[[str], Graphs]) -> None:
    graphs = project("def make(r: ServerRuntime):\n    r.ensure_user()")

    with pytest.raises(PermissionError):
        async with graphs.open("agent", config={}, access_context="threads.read"):
            pass


async def test_a_slow_factory_is_logged(project: Callable[[str], Graphs]) -> None:
    graphs = project("async def make():\n    await asyncio.sleep(0.11)\n    return graph")
    with capture_logs() as logs:
        async with graphs.open("agent", config={}, access_context="threads.read"):
            pass

    assert [(entry["event"], entry["graph_id"]) for entry in logs] == [("slow graph factory", "agent")]
