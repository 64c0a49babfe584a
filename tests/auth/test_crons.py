"""Crons belong to somebody, and fire in the name of their owner (spec 12, 18.4)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from langgraph_sdk import Auth
from starlette.applications import Starlette

from tests.auth.given import by_header, configured
from tests.auth.owners import owners
from tests.auth.test_api_keys import by, keyed, make_key
from tests.auth.test_user_in_graphs import graphs
from tests.conftest import connected, served
from tests.crons.conftest import backdate
from tests.driver import eventually
from waystation.crons import queries, scheduler

ANN, BOB = {"X-User": "ann", "X-Permissions": "read write"}, {"X-User": "bob"}
NEVER = "0 0 1 1 *"
Context = Auth.types.AuthContext


@asynccontextmanager
async def guarded(data_dir: Path, auth: Auth, **changes: Any) -> AsyncIterator[tuple[Starlette, httpx.AsyncClient]]:
    settings = changes.pop("settings", {})
    async with (
        served(data_dir, auth=configured(auth, **settings), **changes) as app,
        connected(app) as http,
    ):
        yield app, http


async def create(http: httpx.AsyncClient, headers: dict[str, str], thread_id: str | None = None, **body: Any) -> Any:
    path = "/runs/crons" if thread_id is None else f"/threads/{thread_id}/runs/crons"
    body = {"assistant_id": "echo", "schedule": NEVER, "input": {"x": "a"}, **body}
    response = await http.post(path, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


async def make_thread(http: httpx.AsyncClient, headers: dict[str, str]) -> str:
    return str((await http.post("/threads", json={}, headers=headers)).json()["thread_id"])


async def fire(app: Starlette, *crons: Any) -> None:
    """Let the crons be due, and fire what is. Nobody else does: each handler is asked once."""
    await app.state.server.scheduler.stop()
    for cron in crons:
        await backdate(app, cron["cron_id"])
    await app.state.server.scheduler.fire_due()


async def values_of(http: httpx.AsyncClient, headers: dict[str, str], thread_id: str) -> Any:
    """The values of a thread, once no run is going on there."""

    async def look() -> Any:
        thread = (await http.get(f"/threads/{thread_id}", headers=headers)).json()
        return thread["values"] if thread["status"] == "idle" and thread["values"] else None

    return await eventually(look, "the thread having values")


async def threads_of(http: httpx.AsyncClient, headers: dict[str, str]) -> list[str]:
    found = (await http.post("/threads/search", json={}, headers=headers)).json()
    return [thread["thread_id"] for thread in found]


async def test_what_a_cron_makes_is_its_owners(tmp_path: Path) -> None:
    async with guarded(tmp_path, owners(), graphs=graphs("whoami")) as (app, http):
        cron = await create(http, ANN, assistant_id="whoami", input={}, on_run_completed="keep")
        assert cron["user_id"] == "ann"

        await fire(app, cron)

        [thread_id] = await threads_of(http, ANN)
        assert await threads_of(http, BOB) == []
        said = json.loads((await values_of(http, ANN, thread_id))["said"])
        assert said["attributes"] == ["ann", "acme", ["read", "write"]]
        assert (said["user_of_the_run"], said["user_id"], said["of_the_runtime"]) == ("ann", "ann", "ann")
        [run] = (await http.get(f"/threads/{thread_id}/runs", headers=ANN)).json()
        assert run["kwargs"]["config"]["configurable"]["cron_id"] == cron["cron_id"]


async def test_nobody_can_pass_a_cron_off_on_somebody_else(tmp_path: Path) -> None:
    async with guarded(tmp_path, owners()) as (app, http):
        metadata = {"owner": "bob", "mine": 1}
        config = {"configurable": {"langgraph_auth_user_id": "bob"}}
        cron = await create(http, ANN, on_run_completed="keep", metadata=metadata, config=config)
        path = f"/runs/crons/{cron['cron_id']}"
        changed = (await http.patch(path, json={"metadata": {"owner": "bob"}}, headers=ANN)).json()
        assert cron["metadata"] == cron["payload"]["metadata"] == {"owner": "ann", "mine": 1}
        assert changed["metadata"] == changed["payload"]["metadata"] == {"owner": "ann", "mine": 1}
        assert (await http.get(path, headers=BOB)).status_code == 404

        await fire(app, cron)

        assert len(await threads_of(http, ANN)) == 1
        assert await threads_of(http, BOB) == []


async def test_handlers_are_asked_when_a_cron_fires(tmp_path: Path) -> None:
    auth, asked = by_header(), []

    @auth.on
    async def record(ctx: Context, value: Any) -> None:
        asked.append((f"{ctx.resource}.{ctx.action}", ctx.user.identity, list(ctx.permissions), dict(value)))

    async with guarded(tmp_path, auth) as (app, http):
        own = (await http.post("/assistants", json={"graph_id": "echo"}, headers=ANN)).json()["assistant_id"]
        thread_id = await make_thread(http, ANN)
        cron = await create(http, ANN, thread_id, assistant_id=own, multitask_strategy="reject", metadata={"m": 1})
        asked.clear()

        await fire(app, cron)

        assert [each[:3] for each in asked] == [
            ("threads.create_run", "ann", ["read", "write"]),
            ("assistants.read", "ann", ["read", "write"]),
        ]
        value = asked[0][3]
        assert (value["thread_id"], value["assistant_id"]) == (UUID(thread_id), UUID(own))
        assert (value["metadata"], value["prevent_insert_if_inflight"]) == ({"m": 1}, True)
        assert value["kwargs"]["input"] == {"x": "a"}


@pytest.mark.parametrize("answer", [False, {"nobody": "has"}, RuntimeError("broken"), "never"], ids=str)
async def test_owner_who_may_no_longer_run_loses_the_slot(
    tmp_path: Path, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth, refused = by_header(), set[str]()
    if answer == "never":
        monkeypatch.setattr(scheduler, "ANSWER_S", 0.3)

    @auth.on.threads.create_run
    async def decide(ctx: Context, value: Any) -> Any:
        if ctx.user.identity not in refused:
            return None
        if isinstance(answer, Exception):
            raise answer
        if answer == "never":
            await asyncio.sleep(600)
        return answer

    async with guarded(tmp_path, auth) as (app, http):
        anns, bobs = await make_thread(http, ANN), await make_thread(http, BOB)
        crons = [await create(http, ANN, anns), await create(http, BOB, bobs)]
        refused.add("ann")

        await fire(app, *crons)

        assert (await values_of(http, BOB, bobs))["x"] == "a!"
        assert (await http.get(f"/threads/{anns}/runs", headers=ANN)).json() == []
        shown = (await http.get(f"/runs/crons/{crons[0]['cron_id']}", headers=ANN)).json()
        assert shown["next_run_date"] > datetime.now(UTC).isoformat()
        refused.clear()
        await fire(app, crons[0])
        assert (await values_of(http, ANN, anns))["x"] == "a!"


async def test_cron_does_not_run_on_a_thread_that_is_not_its_owners_any_more(tmp_path: Path) -> None:
    async with guarded(tmp_path, owners()) as (app, http):
        thread_id = await make_thread(http, ANN)
        cron = await create(http, ANN, thread_id)

        def give_away(conn: Any) -> None:
            conn.exec_driver_sql('UPDATE threads SET metadata = \'{"owner": "bob"}\'')

        await app.state.server.db.write(give_away)

        await fire(app, cron)

        assert (await http.get(f"/threads/{thread_id}/runs", headers=BOB)).json() == []


async def test_cron_that_changes_while_a_handler_thinks_fires_as_it_is_then(tmp_path: Path) -> None:
    auth = by_header()
    changes: list[tuple[str, dict[str, Any]]] = []

    @auth.on.threads.create_run
    async def think(ctx: Context, value: Any) -> None:
        while changes:
            await app.state.server.db.write(queries.update_columns, *changes.pop())

    async with guarded(tmp_path, auth) as (app, http):
        thread_id = await make_thread(http, ANN)
        cron = await create(http, ANN, thread_id)
        changes.append((cron["cron_id"], {"payload": {**cron["payload"], "input": {"x": "b"}}}))

        await fire(app, cron)
        assert (await http.get(f"/threads/{thread_id}/runs", headers=ANN)).json() == []
        await app.state.server.scheduler.fire_due()

        assert (await values_of(http, ANN, thread_id))["x"] == "b!"


async def test_studio_fires_as_the_studio(tmp_path: Path) -> None:
    auth, asked = by_header(), []

    @auth.on.threads.create_run
    async def record(ctx: Context, value: Any) -> None:
        asked.append(ctx.user)

    studio = {"X-Auth-Scheme": "langsmith"}
    async with guarded(tmp_path, auth, settings={"disable_studio_auth": False}) as (app, http):
        await fire(app, await create(http, studio), await create(http, {"X-User": "langgraph-studio-user"}))

    assert sorted(isinstance(user, Auth.types.StudioUser) for user in asked) == [False, True]
    assert {user.identity for user in asked} == {"langgraph-studio-user"}


async def test_cron_from_before_there_was_authentication_is_nobodys(tmp_path: Path) -> None:
    async with served(tmp_path) as app, connected(app) as http:
        open_thread = await make_thread(http, {})
        cron = await create(http, {}, open_thread)
    auth, asked = by_header(), []

    @auth.on.threads.create_run
    async def record(ctx: Context, value: Any) -> bool:
        asked.append((ctx.user.identity, ctx.user.is_authenticated))
        return False

    async with guarded(tmp_path, auth) as (app, http):
        await fire(app, cron)
        assert asked == [("", False)]
        assert (await http.get(f"/threads/{open_thread}/runs", headers=ANN)).json() == []


async def test_what_handlers_are_told(tmp_path: Path) -> None:
    auth, told = by_header(), {}

    @auth.on.crons
    async def record(ctx: Context, value: Any) -> None:
        told[ctx.action] = dict(value)

    async with guarded(tmp_path, auth) as (_, http):
        thread_id = await make_thread(http, ANN)
        end = "2090-01-01T00:00:00+00:00"
        cron = await create(http, ANN, thread_id, end_time=end, metadata={"m": 1}, config={"tags": ["t"]})
        cron_id = UUID(cron["cron_id"])
        path = f"/runs/crons/{cron_id}"
        await http.patch(path, json={"schedule": "@daily", "metadata": {"m": 2}}, headers=ANN)
        await http.get(path, headers=ANN)
        body = {"thread_id": thread_id, "metadata": {"m": 2}, "limit": 7, "offset": 0}
        await http.post("/runs/crons/search", json=body, headers=ANN)
        assert told["search"] == {
            "assistant_id": None,
            "thread_id": UUID(thread_id),
            "metadata": {"m": 2},
            "limit": 7,
            "offset": 0,
        }
        await http.post("/runs/crons/count", json={}, headers=ANN)
        await http.delete(path, headers=ANN)

    assert told["create"] == {
        "payload": cron["payload"],
        "schedule": NEVER,
        "cron_id": cron_id,
        "thread_id": UUID(thread_id),
        "user_id": "ann",
        "end_time": datetime(2090, 1, 1, tzinfo=UTC),
        "metadata": {"m": 1},
    }
    given = {"schedule": "@daily", "metadata": {"m": 2}}
    assert told["update"] == {"cron_id": cron_id, "payload": given, **given}
    assert told["read"] == told["delete"] == {"cron_id": cron_id}
    assert told["search"] == {"assistant_id": None, "thread_id": None, "metadata": {}, "limit": 0, "offset": 0}


async def test_handlers_may_change_what_runs_get_and_nothing_about_the_time(tmp_path: Path) -> None:
    auth = by_header()

    @auth.on.crons(actions=["create", "update"])
    async def rewrite(ctx: Context, value: Any) -> None:
        value["payload"] = {**value["payload"], "input": {"x": "rewritten"}, "schedule": "@hourly", "assistant_id": "x"}
        value["payload"].pop("config", None)
        value["schedule"] = "@hourly"

    async with guarded(tmp_path, auth) as (app, http):
        thread_id = await make_thread(http, ANN)
        cron = await create(http, ANN, thread_id, config={"tags": ["t"]})
        assert (cron["schedule"], cron["payload"]["schedule"]) == (NEVER, NEVER)
        assert cron["payload"]["assistant_id"] == cron["assistant_id"]
        assert cron["payload"]["config"] == {"configurable": {"cron_id": cron["cron_id"]}}
        changes = {"input": {"x": "z"}, "config": {"tags": ["u"]}, "timezone": "Europe/Paris"}
        changed = (await http.patch(f"/runs/crons/{cron['cron_id']}", json=changes, headers=ANN)).json()
        assert (changed["schedule"], changed["timezone"]) == (NEVER, "Europe/Paris")
        assert changed["payload"]["input"] == {"x": "rewritten"}
        assert changed["payload"]["config"] == cron["payload"]["config"]

        await fire(app, cron)

        assert (await values_of(http, ANN, thread_id))["x"] == "rewritten!"


async def test_crons_on_threads_that_one_may_not_see_are_not_found(tmp_path: Path) -> None:
    auth = by_header()

    @auth.on.threads
    async def own(ctx: Context, value: Any) -> dict[str, Any]:
        value.setdefault("metadata", {})["owner"] = ctx.user.identity
        return {"owner": ctx.user.identity}

    async with guarded(tmp_path, auth) as (_, http):
        stateless = await create(http, ANN)
        await create(http, ANN, await make_thread(http, ANN))

        found = (await http.post("/runs/crons/search", json={}, headers=BOB)).json()
        counts = [(await http.post("/runs/crons/count", json={}, headers=h)).json() for h in (ANN, BOB)]

    assert [cron["cron_id"] for cron in found] == [stateless["cron_id"]]
    assert counts == [2, 1]


async def test_searches_can_be_narrowed_by_a_handler(tmp_path: Path) -> None:
    auth = by_header()

    @auth.on.crons.search
    async def narrow(ctx: Context, value: Any) -> None:
        value["metadata"]["team"] = "red"

    async with guarded(tmp_path, auth) as (_, http):
        for team in ("red", "blue"):
            await create(http, ANN, metadata={"team": team})
        found = (await http.post("/runs/crons/search", json={}, headers=ANN)).json()
        assert [cron["metadata"]["team"] for cron in found] == ["red"]
        assert (await http.post("/runs/crons/count", json={}, headers=ANN)).json() == 1


# --- with API keys


async def test_cron_runs_in_the_workspace_of_its_key(tmp_path: Path) -> None:
    async with keyed(tmp_path, graphs=graphs("whoami", "memory")) as (app, http):
        ann, colleague = by(await make_key(app, "one", "ann")), by(await make_key(app, "one", "cat"))
        other = by(await make_key(app, "two", "ann"))
        thread_id = await make_thread(http, ann)
        cron = await create(http, ann, thread_id, assistant_id="memory", input={})
        kept = await create(http, ann, assistant_id="whoami", input={}, on_run_completed="keep")
        assert (cron["user_id"], "workspace" in cron, "owner" in cron) == ("ann", False, False)

        await fire(app, cron, kept)

        await values_of(http, ann, thread_id)
        items = [(await http.post("/store/items/search", json={}, headers=h)).json()["items"] for h in (ann, other)]
        assert [len(each) for each in items] == [1, 0]
        [made] = set(await threads_of(http, colleague)) - {thread_id}
        said = json.loads((await values_of(http, colleague, made))["said"])
        assert (said["user"]["identity"], said["user"]["workspace"], said["user_of_the_run"]) == ("ann", "one", "ann")
        assert await threads_of(http, other) == []
        crons = [(await http.post("/runs/crons/count", json={}, headers=h)).json() for h in (ann, colleague, other)]
        assert crons == [2, 2, 0]


async def test_cron_made_without_keys_belongs_where_its_thread_is(tmp_path: Path) -> None:
    async with keyed(tmp_path) as (app, http):
        key, other = by(await make_key(app, "one")), by(await make_key(app, "two"))
        thread_id = await make_thread(http, key)
        assistant = (await http.post("/assistants", json={"graph_id": "echo"}, headers=other)).json()["assistant_id"]
    async with served(tmp_path) as app, connected(app) as http:
        cron = await create(http, {}, thread_id)
        mixed = {"assistant_id": assistant, "schedule": NEVER}
        assert (await http.post(f"/threads/{thread_id}/runs/crons", json=mixed)).status_code == 404
        on_assistant = await create(http, {}, assistant_id=assistant)
    async with keyed(tmp_path) as (app, http):
        for headers, statuses in ((key, [200, 404]), (other, [404, 200])):
            paths = [f"/runs/crons/{each['cron_id']}" for each in (cron, on_assistant)]
            assert [(await http.get(path, headers=headers)).status_code for path in paths] == statuses
        await fire(app, cron, on_assistant)
        assert (await values_of(http, key, thread_id))["x"] == "a!"
