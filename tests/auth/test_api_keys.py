"""API keys and the workspaces they lead to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select
from starlette.applications import Starlette

from tests.auth.test_user_in_graphs import graphs
from tests.conftest import connected, served
from tests.driver import eventually
from waystation.auth import api_keys, key_queries
from waystation.auth.keys import KeyOwner, digest_of, key_id_of, new_key
from waystation.errors import BadInput
from waystation.storage.tables import api_keys as table
from waystation.timestamps import now_us


@asynccontextmanager
async def keyed(data_dir: Path, **changes: Any) -> AsyncIterator[tuple[Starlette, httpx.AsyncClient]]:
    async with served(data_dir, api_keys=True, **changes) as app, connected(app) as http:
        yield app, http


async def make_key(app: Starlette, workspace: str, user: str | None = "ann") -> str:
    key = new_key()
    await app.state.server.db.write(key_queries.create, key, KeyOwner.of(workspace, user), now_us())
    return key.text


def by(key: str) -> dict[str, str]:
    return {"X-Api-Key": key}


def test_a_key() -> None:
    one, other = new_key(), new_key()
    assert one.text != other.text
    assert len(one.text) > 50
    assert key_id_of(one.text) == one.key_id
    assert one.text.startswith(one.key_id)
    assert one.digest == digest_of(one.text)
    for text in ("", one.key_id, one.text[:-1], one.text + "x", one.text.upper(), " " + one.text):
        assert key_id_of(text) is None


@pytest.mark.parametrize("workspace", ["", " ", "a b", "a\tb", "a/b", "-a", "ä", "x" * 129, "a\n"])
def test_names_of_workspaces(workspace: str) -> None:
    with pytest.raises(BadInput):
        KeyOwner.of(workspace, "u")


async def test_who_gets_in(tmp_path: Path) -> None:
    async with keyed(tmp_path) as (app, http):
        key = await make_key(app, "one")
        bearer = {"Authorization": f"bearer {key}"}
        for headers in (by(key), bearer):
            assert (await http.post("/threads/search", json={}, headers=headers)).status_code == 200
        wrong = key[:-4] + ("AAAA" if key[-4:] != "AAAA" else "BBBB")
        for headers in ({}, by(""), by("x"), by(wrong), by(new_key().text), {"Authorization": f"Basic {key}"}):
            for path in ("/threads/search", "/nowhere"):
                response = await http.post(path, json={}, headers=headers)
                assert response.status_code == 401
                assert list(response.json()) == ["detail"]
                assert response.headers["www-authenticate"] == "Bearer"
        assert (await http.post("/threads/search", json={}, headers={**bearer, **by(wrong)})).status_code == 401
        assert (await http.get("/ok")).status_code == 200
        assert (await http.get("/openapi.json")).json()["security"] == [{"ApiKey": []}, {"Bearer": []}]


async def test_only_a_digest_is_stored(tmp_path: Path) -> None:
    async with keyed(tmp_path) as (app, _):
        key = await make_key(app, "one")

        def everything(conn: Connection) -> str:
            return repr(conn.execute(select(table)).all())

        stored = await app.state.server.db.read(everything)
    secret = key.rpartition("_")[2] if "_" not in key[len(key_id_of(key) or "") + 1 :] else key[16:]
    assert str(key_id_of(key)) in stored
    assert key not in stored
    assert secret not in stored


async def test_a_revoked_key_stops_within_a_second(tmp_path: Path) -> None:
    assert api_keys.TRUSTED_S < 1
    async with keyed(tmp_path) as (app, http):
        key, other = await make_key(app, "one"), await make_key(app, "one")

        async def status(text: str) -> int:
            return (await http.post("/threads/search", json={}, headers=by(text))).status_code

        assert [await status(key), await status(other)] == [200, 200]
        # By another process, as far as the server can tell: it is not told.
        assert await app.state.server.db.write(key_queries.revoke, str(key_id_of(key)), now_us())

        async def stopped() -> bool:
            return await status(key) == 401

        await eventually(stopped, "the key's end")
        assert await status(other) == 200
        assert not await app.state.server.db.write(key_queries.revoke, str(key_id_of(key)), now_us())


async def test_last_use_is_noted_now_and_then(tmp_path: Path) -> None:
    async with keyed(tmp_path) as (app, http):
        key = await make_key(app, "one")
        db = app.state.server.db

        async def used() -> int | None:
            stored = await db.read(key_queries.find, key_id_of(key))
            moment: int | None = stored.last_used_at
            return moment

        assert await used() is None
        before = now_us()
        await http.post("/threads/search", json={}, headers=by(key))
        first = await eventually(used, "the note")
        assert first >= before
        writes = db.statistics()["writes"]
        for _ in range(3):
            await http.post("/threads/search", json={}, headers=by(key))
        assert db.statistics()["writes"] == writes
        # Another process, which does not know of that note, leaves it alone as well.
        await db.write(key_queries.touch, key_id_of(key), first + 1, first)
        assert await used() == first


async def test_workspaces_share_the_assistants_of_the_server(tmp_path: Path) -> None:
    async with keyed(tmp_path) as (app, http):
        for workspace in ("one", "two"):
            headers = by(await make_key(app, workspace))
            found = (await http.post("/assistants/search", json={"graph_id": "echo"}, headers=headers)).json()
            assert [each["metadata"] for each in found] == [{"created_by": "system"}]
            assert "workspace" not in found[0]
            body = {"assistant_id": "echo", "input": {"x": "a"}}
            assert (await http.post("/runs/wait", json=body, headers=headers)).json()["x"] == "a!"
            path = f"/assistants/{found[0]['assistant_id']}"
            refused = [
                await http.patch(path, json={"name": "mine"}, headers=headers),
                await http.post(f"{path}/latest", json={"version": 1}, headers=headers),
                await http.delete(path, headers=headers),
                await http.delete(f"{path}?delete_threads=true", headers=headers),
            ]
            assert [each.status_code for each in refused] == [403] * 4


async def test_users_of_a_workspace_share_it(tmp_path: Path) -> None:
    async with keyed(tmp_path) as (app, http):
        ann, bob = by(await make_key(app, "one", "ann")), by(await make_key(app, "one", "bob"))
        service, other = by(await make_key(app, "one", None)), by(await make_key(app, "two", "ann"))
        thread = (await http.post("/threads", json={}, headers=ann)).json()
        assert "workspace" not in thread
        path = f"/threads/{thread['thread_id']}"
        statuses = [(await http.get(path, headers=headers)).status_code for headers in (ann, bob, service, other)]
        assert statuses == [200, 200, 200, 404]


async def test_graphs_know_the_user_and_have_the_store_of_their_workspace(tmp_path: Path) -> None:
    async with keyed(tmp_path, graphs=graphs("whoami", "memory")) as (app, http):
        ann, service = by(await make_key(app, "one", "ann")), by(await make_key(app, "one", None))
        other = by(await make_key(app, "two", "ann"))
        body = {"assistant_id": "whoami", "input": {}}
        said = json.loads((await http.post("/runs/wait", json=body, headers=ann)).json()["said"])
        assert (said["user"]["identity"], said["user"]["workspace"], said["user_of_the_run"]) == ("ann", "one", "ann")
        said = json.loads((await http.post("/runs/wait", json=body, headers=service)).json()["said"])
        assert said["user_of_the_run"] is None

        body = {"assistant_id": "memory", "input": {}}
        said_by = [
            json.loads((await http.post("/runs/wait", json=body, headers=h)).json()["said"]) for h in (ann, ann, other)
        ]
        assert said_by == [[], ["note 0"], []]
        items = (await http.post("/store/items/search", json={}, headers=service)).json()["items"]
        assert {(*item["namespace"], item["key"]) for item in items} == {("memory", "note 0"), ("memory", "note 1")}
        assert (await http.post("/store/namespaces", json={}, headers=other)).json() == {"namespaces": [["memory"]]}


async def test_what_was_made_without_keys_is_in_the_default_workspace(tmp_path: Path) -> None:
    async with served(tmp_path) as app, connected(app) as http:
        thread = (await http.post("/threads", json={})).json()["thread_id"]
        assistant = (await http.post("/assistants", json={"graph_id": "echo"})).json()["assistant_id"]
        await http.put("/store/items", json={"namespace": ["a"], "key": "k", "value": {}})
    async with keyed(tmp_path) as (app, http):
        for workspace, status, items in (("default", 200, 1), ("other", 404, 0)):
            headers = by(await make_key(app, workspace))
            for path in (f"/threads/{thread}", f"/assistants/{assistant}"):
                assert (await http.get(path, headers=headers)).status_code == status
            found = (await http.post("/store/items/search", json={}, headers=headers)).json()["items"]
            assert len(found) == items
