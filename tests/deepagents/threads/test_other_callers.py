"""Users whom a project's own handlers know, and crons, which act for who made them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import Auth
from managed_deepagents import AsyncClient, ManagedDeepAgentsAPIError

from tests.auth.conftest import protected
from tests.auth.given import by_header
from tests.auth.test_api_keys import by, make_key
from tests.conftest import connected, served
from tests.crons.conftest import EVERY_SECOND, backdate, runs_of
from tests.deepagents.threads.conftest import MODEL, Party, said

__all__ = ["protected"]


@pytest.fixture
async def known(protected: Any) -> AsyncIterator[tuple[Any, list[tuple[str, Any]]]]:
    """Threads by the vendor's client for users of an `Auth` object, and what its handler was asked."""
    asked: list[tuple[str, Any]] = []
    auth = by_header()

    @auth.on.threads
    async def on_threads(ctx: Auth.types.AuthContext, value: Any) -> Any:
        asked.append((ctx.action, value))
        if ctx.action in ("create", "update"):
            value["metadata"] = {**value["metadata"], "by": ctx.user.identity}
        return None

    async with protected(auth) as http:

        def client(user: str) -> AsyncClient:
            return AsyncClient(api_url="http://waystation", http_client=http, headers={"X-User": user})

        yield client, asked


async def test_users_of_the_projects_own(known: Any) -> None:
    client, asked = known
    ann, ben = client("ann"), client("ben")
    agent = await ann.agents.create(name="clerk", permissions={"tenant_access_level": "run"})
    thread = await ann.threads.create(agent_id=agent["id"], metadata={"a": 1})
    assert (thread["metadata"]["a"], thread["metadata"]["by"]) == (1, "ann")
    assert (await ann.threads.get(thread["id"]))["id"] == thread["id"]
    for call in (ben.threads.get(thread["id"]), ben.threads.update(thread["id"], title="x")):
        with pytest.raises(ManagedDeepAgentsAPIError) as error:
            await call
        assert error.value.status_code == 404
    await ben.threads.delete(thread["id"])
    for found in (await ben.threads.list(agent_id=agent["id"]))["threads"], await ben.threads.search():
        assert found == []
    assert [each["id"] for each in await ann.threads.search(metadata={"by": "ann"})] == [thread["id"]]
    assert [action for action, _ in asked] == [
        *("create", "read", "read", "update", "delete", "search", "search", "search"),
    ]
    assert str(asked[0][1]["thread_id"]) == thread["id"]


async def test_a_cron_on_a_thread_is_its_owners(tmp_path: Path) -> None:
    async with served(tmp_path, api_keys=True, default_model=MODEL) as app, connected(app) as http:
        ann, ben = by(await make_key(app, "w", "ann")), by(await make_key(app, "w", "ben"))
        http.headers.update(ann)
        me = Party(http)
        thread = await me.threads.create(agent_id=await me.agent())
        cron: Any = await me.sdk.crons.create_for_thread(
            thread["id"], thread["agent_id"], schedule="0 0 1 1 *", input=said("Hello")
        )
        for path in ("search", "count"):
            answer = await http.post(f"/runs/crons/{path}", json={}, headers=ben)
            assert answer.json() in ([], 0)
        assert (await http.get(f"/runs/crons/{cron['cron_id']}", headers=ben)).status_code == 404
        await me.sdk.crons.update(cron["cron_id"], schedule=EVERY_SECOND)
        await backdate(app, cron["cron_id"])
        [*_, run] = await runs_of(me.sdk, thread["id"])
        assert run["status"] == "success"
        assert (await me.threads.get(thread["id"]))["title"] == "Hello"
