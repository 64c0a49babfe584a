"""Compiled graphs are kept by what they are made of."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from tests.deepagents.compile.given import Mailbox, demo, toolbox
from waystation.deepagents.compile import Compiler, CompileRequest, parse_tree
from waystation.deepagents.models import Models, ModelUnavailable

FILES = {"AGENTS.md": "You send.", "tools.json": toolbox("send")}


@pytest.fixture
def compiler() -> Compiler:
    return Compiler(Models(), kept=2)


async def made_by(compiler: Compiler, wanted: CompileRequest) -> Any:
    """A part of the graph that all of its copies have in common."""
    return (await compiler.graph(wanted)).nodes["model"]


def request(files: dict[str, str] | None = None, user: str = "ann", **changes: object) -> CompileRequest:
    return CompileRequest(demo(files or FILES), "agent-1", user, **changes)  # type: ignore[arg-type]


async def test_the_same_request_gets_the_same_graph(compiler: Compiler) -> None:
    mailbox = Mailbox()
    made = await made_by(compiler, request(tools=mailbox))
    assert await made_by(compiler, request(tools=mailbox)) is made
    assert mailbox.listings == 2, "the servers are asked every time"


async def test_what_differs_gets_another_one() -> None:
    compiler = Compiler(Models())
    requests = [
        request(tools=Mailbox()),
        request({**FILES, "AGENTS.md": "You send well."}, tools=Mailbox()),
        request(tools=Mailbox(version="2")),
        request(tools=Mailbox(failure=OSError())),
        request(tools=None),
        request(protect_memory=False, tools=Mailbox()),
    ]
    made = [await made_by(compiler, each) for each in requests]
    assert len({id(each) for each in made}) == len(requests)


async def test_users_share_a_graph(compiler: Compiler) -> None:
    assert await made_by(compiler, request(user="ann")) is await made_by(compiler, request(user="bob"))


async def test_runs_that_start_together_wait_for_one(compiler: Compiler) -> None:
    cancelled = asyncio.create_task(made_by(compiler, request()))
    others = [asyncio.create_task(made_by(compiler, request())) for _ in range(3)]
    await asyncio.sleep(0)
    cancelled.cancel()
    assert len({id(each) for each in await asyncio.gather(*others)}) == 1


async def test_what_failed_is_tried_again(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    wanted = CompileRequest(parse_tree({}, model="openai:gpt-test"), "agent-1", "ann")
    with pytest.raises(ModelUnavailable, match="OPENAI_API_KEY"):
        await compiler.graph(wanted)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert await compiler.graph(wanted)


async def test_the_graph_used_longest_ago_goes_first(compiler: Compiler) -> None:
    first = await made_by(compiler, request(name="a"))
    second = await made_by(compiler, request(name="b"))
    assert await made_by(compiler, request(name="a")) is first
    await made_by(compiler, request(name="c"))
    assert await made_by(compiler, request(name="a")) is first
    assert await made_by(compiler, request(name="b")) is not second


async def test_servers_are_asked_once_for_the_agent_and_its_subagents(compiler: Compiler) -> None:
    mailbox = Mailbox()
    files = {**FILES, "subagents/a/AGENTS.md": "", "subagents/a/tools.json": toolbox("purge")}
    await compiler.graph(request(files, tools=mailbox))
    assert mailbox.listings == 1


def test_the_library_is_imported_when_the_first_agent_is_compiled() -> None:
    code = "import sys, waystation.app, waystation.deepagents.compile, waystation.deepagents.decisions; print('deepagents' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
