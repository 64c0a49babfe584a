"""The assistants that graphs get by themselves (spec 2.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from sqlalchemy import Connection

from waystation.assistants import Assistant, ask_for, assistant_id_for_graph, install, queries
from waystation.auth.access import EVERYTHING
from waystation.errors import NotFound, UnprocessableInput
from waystation.graphs import Graphs
from waystation.storage import tables
from waystation.storage.sqlite import SqliteDatabase


def test_ids_are_those_of_the_official_servers() -> None:
    assert assistant_id_for_graph("agent") == "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
    assert assistant_id_for_graph("other") == "8d2fdf5d-7331-5702-b419-c34f4de91ad4"


async def test_every_graph_has_one(http: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    found = await sdk.assistants.search(metadata={"created_by": "system"}, limit=100)
    graphs = {a["graph_id"] for a in found}
    assert {"echo", "chat", "hitl"} <= graphs
    assert len(found) == len(graphs)
    chat = await sdk.assistants.get(assistant_id_for_graph("chat"))
    assert (chat["name"], chat["description"], chat["version"]) == ("chat", "Streams words.", 1)
    assert (chat["config"], chat["context"], chat["metadata"]) == ({}, {}, {"created_by": "system"})
    assert (await http.get("/assistants/chat")).json() == chat


async def test_a_deleted_one_is_missing(http: httpx.AsyncClient) -> None:
    assert (await http.delete("/assistants/echo")).status_code == 204
    assert (await http.get("/assistants/echo")).status_code == 404
    answer = await http.post("/runs/wait", json={"assistant_id": "echo", "input": {}})
    assert answer.status_code == 404
    assert (await http.post("/runs/wait", json={"assistant_id": "nobody", "input": {}})).status_code == 422


@dataclass
class Named:
    """The part of `Graphs` that installing looks at."""

    named: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self.named)

    def name(self, graph_id: str) -> str:
        return self.named[graph_id][0]

    def description(self, graph_id: str) -> str | None:
        return self.named[graph_id][1]


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "assistants.db")
    await database.write(tables.metadata.create_all)
    yield database
    await database.close()


async def start(db: SqliteDatabase, now: int, configs: Any = None, **named: tuple[str, str | None]) -> None:
    await db.write(install, cast(Graphs, Named(named)), now, configs)


async def current(db: SqliteDatabase, graph_id: str) -> Any:
    return await db.read(queries.find, assistant_id_for_graph(graph_id), EVERYTHING)


async def test_a_restart_keeps_what_is_there(db: SqliteDatabase) -> None:
    await start(db, 1, agent=("agent", None))
    before = await current(db, "agent")
    await start(db, 2, agent=("agent", None), other=("other", "d"))
    assert await current(db, "agent") == before
    await start(db, 3, other=("other", "d"))
    assert await current(db, "agent") == before


async def test_a_changed_description_is_a_new_version(db: SqliteDatabase) -> None:
    await start(db, 1, agent=("agent", "old"))
    await start(db, 2, agent=("Agent", "new"))
    row = await current(db, "agent")
    assert (row["version"], row["name"], row["description"], row["updated_at"]) == (2, "Agent", "new", 2)


async def test_a_rename_survives_restarts(db: SqliteDatabase) -> None:
    await start(db, 1, agent=("agent", None))
    rename = queries.Patch(name="Mine")
    await db.write(queries.patch, assistant_id_for_graph("agent"), rename, 2, EVERYTHING)
    await start(db, 3, agent=("agent", None))
    assert ((await current(db, "agent"))["name"], (await current(db, "agent"))["version"]) == ("Mine", 2)


async def test_graphs_may_have_a_default_config(db: SqliteDatabase) -> None:
    await start(db, 1, {"agent": {"configurable": {"model": "m"}}}, agent=("agent", None))
    row = await current(db, "agent")
    assert (row["config"], row["context"]) == ({"configurable": {"model": "m"}}, {"model": "m"})


def resolved(conn: Connection, assistant_id_or_graph_id: str) -> Assistant:
    return ask_for(conn, EVERYTHING, assistant_id_or_graph_id, ["agent"])()


async def test_resolving_ids_and_graphs(db: SqliteDatabase) -> None:
    await start(db, 1, agent=("agent", None))
    assistant_id = assistant_id_for_graph("agent")
    for name in ("agent", assistant_id, assistant_id.upper()):
        found = await db.read(resolved, name)
        assert (found.assistant_id, found.graph_id, found.version) == (assistant_id, "agent", 1)
        assert (found.config, found.context, found.metadata) == ({}, {}, {"created_by": "system"})
    await db.write(queries.remove, assistant_id, EVERYTHING)
    for name in ("agent", assistant_id):
        with pytest.raises(NotFound):
            await db.read(resolved, name)
    with pytest.raises(UnprocessableInput):
        await db.read(resolved, "nobody")
