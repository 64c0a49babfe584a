"""What is encrypted cannot be searched, and a search that tries is told so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import Auth

from tests.auth.given import configured
from tests.conftest import connected, served
from tests.encryption.conftest import GRAPHS, SECRET_KEYS, encrypting

SECRET = {"secret": "s"}
DEEP = {"label": {"inner": [{"secret": "s"}]}}

SEARCHES: list[tuple[str, dict[str, Any]]] = [
    (path, {"metadata": metadata})
    for path in (
        "/threads/search",
        "/threads/count",
        "/assistants/search",
        "/assistants/count",
        "/runs/crons/search",
        "/runs/crons/count",
    )
    for metadata in (SECRET, DEEP)
] + [
    ("/threads/search", {"values": {"x": "anything"}}),
    ("/threads/count", {"values": {"x": "anything"}}),
    ("/store/items/search", {"namespace_prefix": [], "filter": SECRET}),
    ("/store/items/search", {"namespace_prefix": [], "filter": {"a": {"secret": {"$ne": "s"}}}}),
]


@pytest.mark.parametrize(("path", "body"), SEARCHES)
async def test_a_filter_on_what_is_encrypted_is_refused(tmp_path: Path, path: str, body: dict[str, Any]) -> None:
    async with encrypting(tmp_path, SECRET_KEYS) as sdk:
        with pytest.raises(httpx.HTTPStatusError) as refusal:
            await sdk.http.post(path, json=body)
        assert refusal.value.response.status_code == 422
        assert "stored encrypted" in refusal.value.response.text
    # Without encryption the same search is possible.
    async with encrypting(tmp_path / "clear", None) as sdk:
        await sdk.http.post(path, json=body)


async def test_a_filter_on_versions_is_refused(tmp_path: Path) -> None:
    async with encrypting(tmp_path, SECRET_KEYS) as sdk:
        assistant = await sdk.assistants.create("noting", metadata={**SECRET, "label": "l"})
        with pytest.raises(httpx.HTTPStatusError, match="stored encrypted"):
            await sdk.assistants.get_versions(assistant["assistant_id"], metadata=SECRET)
        assert len(await sdk.assistants.get_versions(assistant["assistant_id"], metadata={"label": "l"})) == 1


async def test_a_filter_on_other_keys_finds(tmp_path: Path) -> None:
    async with encrypting(tmp_path, SECRET_KEYS) as sdk:
        thread: Any = await sdk.threads.create(metadata={**SECRET, "label": {"inner": 1}})
        found: Any = (await sdk.threads.search(metadata={"label": {"inner": 1}}))[0]
        assert found["thread_id"] == thread["thread_id"]
        assert found["metadata"]["secret"] == "s"
        await sdk.store.put_item(["a"], "k", {"secret": "s", "n": 3}, index=False)
        assert len((await sdk.store.search_items(["a"], filter={"n": {"$gte": 3}}))["items"]) == 1


async def test_a_handler_that_filters_by_an_encrypted_key_is_a_mistake_of_the_project(tmp_path: Path) -> None:
    auth = Auth()

    @auth.authenticate
    async def authenticate() -> str:
        return "somebody"

    @auth.on.threads
    async def own(ctx: Any, value: Any) -> Any:
        return {"secret": ctx.user.identity}

    settings: dict[str, Any] = {"encryption": SECRET_KEYS, "graphs": GRAPHS, "auth": configured(auth)}
    async with served(tmp_path, **settings) as app, connected(app) as http:
        answer = await http.post("/threads/search", json={})
        assert answer.status_code == 500
        assert "LANGGRAPH_AES_JSON_KEYS" in answer.json()["detail"]
