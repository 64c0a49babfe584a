"""Compiled graphs are kept by what they are made of."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.deepagents_compile.given import Mailbox, demo, toolbox
from waystation.deepagents.compile import Compiler, CompileRequest
from waystation.deepagents.models import Models

FILES = {"AGENTS.md": "You send.", "tools.json": toolbox("send")}


@pytest.fixture
def compiler() -> Compiler:
    return Compiler(Models(), kept=2)


def request(files: dict[str, str] | None = None, user: str = "ann", **changes: object) -> CompileRequest:
    return CompileRequest(demo(files or FILES), "agent-1", user, **changes)  # type: ignore[arg-type]


async def test_the_same_request_gets_the_same_graph(compiler: Compiler) -> None:
    mailbox = Mailbox()
    graph = await compiler.graph(request(tools=mailbox))
    assert await compiler.graph(request(tools=mailbox)) is graph
    assert mailbox.listings == 2, "the servers are asked every time"


async def test_what_differs_gets_another_one() -> None:
    compiler = Compiler(Models())
    requests = [
        request(tools=Mailbox()),
        request({**FILES, "AGENTS.md": "You send well."}, tools=Mailbox()),
        request(tools=Mailbox(version="2")),
        request(tools=Mailbox(failure=OSError())),
        request(tools=None),
        request(user="bob", tools=Mailbox()),
        request(protect_memory=False, tools=Mailbox()),
    ]
    assert len({id(await compiler.graph(each)) for each in requests}) == len(requests)


async def test_the_graph_used_longest_ago_goes_first(compiler: Compiler) -> None:
    first = await compiler.graph(request(user="a"))
    second = await compiler.graph(request(user="b"))
    assert await compiler.graph(request(user="a")) is first
    await compiler.graph(request(user="c"))
    assert await compiler.graph(request(user="a")) is first
    assert await compiler.graph(request(user="b")) is not second


async def test_servers_are_asked_once_for_the_agent_and_its_subagents(compiler: Compiler) -> None:
    mailbox = Mailbox()
    files = {**FILES, "subagents/a/AGENTS.md": "", "subagents/a/tools.json": toolbox("purge")}
    await compiler.graph(request(files, tools=mailbox))
    assert mailbox.listings == 1


def test_the_library_is_imported_when_the_first_agent_is_compiled() -> None:
    code = "import sys, waystation.app, waystation.deepagents.compile, waystation.deepagents.decisions; print('deepagents' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
