"""The ``http`` section: a prefix for all routes, and families that are not routed (spec 16, 19, 20)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import connected, served
from waystation.config import HttpConfig


async def test_everything_moves_below_the_prefix(tmp_path: Path) -> None:
    async with served(tmp_path, http=HttpConfig(mount_prefix="/api")) as app, connected(app) as client:
        thread = (await client.post("/api/threads", json={})).json()["thread_id"]
        run = await client.post(f"/api/threads/{thread}/runs/wait", json={"assistant_id": "echo", "input": {"x": "a"}})
        assert run.json()["x"] == "a!"
        assert run.headers["content-location"].startswith(f"/threads/{thread}/runs/")
        assert (await client.post("/threads", json={})).status_code == 404
        for path in ("/", "/ok", "/metrics", "/api/", "/api/ok", "/api/metrics", "/api/info"):
            assert (await client.get(path)).status_code == 200, path
        assert (await client.get("/info")).status_code == 404
        document = (await client.get("/api/openapi.json")).json()
        assert document["servers"] == [{"url": "/api"}]
        assert "/threads/{thread_id}/runs/wait" in document["paths"]
        assert not [path for path in document["paths"] if path.startswith("/api")]


@pytest.mark.parametrize(
    ("family", "path"),
    [
        ("assistants", "/assistants/search"),
        ("threads", "/threads/search"),
        ("runs", "/runs/wait"),
        ("store", "/store/items/search"),
    ],
)
async def test_a_disabled_family_is_not_routed(tmp_path: Path, family: str, path: str) -> None:
    async with served(tmp_path, http=HttpConfig(disabled=frozenset({family}))) as app, connected(app) as client:
        assert (await client.post(path, json={})).status_code == 404
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert path not in paths
        others = {"/assistants/search", "/threads/search", "/runs/wait", "/store/items/search"} - {path}
        assert others <= set(paths)


async def test_without_meta_only_ok_says_that_the_server_is_there(tmp_path: Path) -> None:
    async with served(tmp_path, http=HttpConfig(disabled=frozenset({"meta"}))) as app, connected(app) as client:
        assert (await client.get("/ok?check_db=1")).json() == {"ok": True}
        for path in ("/", "/info", "/metrics", "/docs", "/openapi.json"):
            assert (await client.get(path)).status_code == 404, path
