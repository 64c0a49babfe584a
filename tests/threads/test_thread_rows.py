"""Threads over HTTP: create, get, patch, delete, copy, storage (spec 3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from langgraph_sdk.client import LangGraphClient

from tests.conftest import connected, served


async def create(http: httpx.AsyncClient, **body: Any) -> Any:
    answer = await http.post("/threads", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_new_thread_has_every_field(http: httpx.AsyncClient) -> None:
    thread = await create(http, metadata={"tag": "x"})
    assert UUID(thread["thread_id"]).version == 7
    assert thread["created_at"] == thread["updated_at"] == thread["state_updated_at"]
    assert thread["created_at"].endswith("+00:00")
    assert {name: thread[name] for name in ("metadata", "config", "status", "values", "interrupts", "error")} == {
        "metadata": {"tag": "x"},
        "config": {},
        "status": "idle",
        "values": None,
        "interrupts": {},
        "error": None,
    }
    assert (await http.get(f"/threads/{thread['thread_id']}")).json() == thread


async def test_ids_are_lower_case_and_unique(http: httpx.AsyncClient) -> None:
    thread_id = str(uuid4())
    first = await create(http, thread_id=thread_id.upper(), metadata={"n": 1})
    assert first["thread_id"] == thread_id

    again = await http.post("/threads", json={"thread_id": thread_id, "metadata": {"n": 2}})
    assert again.status_code == 409
    assert thread_id in again.json()["detail"]
    kept = await create(http, thread_id=thread_id, metadata={"n": 2}, if_exists="do_nothing")
    assert kept == first


async def test_reserved_metadata_is_dropped_on_writing(http: httpx.AsyncClient) -> None:
    reserved = {
        "thread_id": "x",
        "assistant_id": "x",
        "run_id": "x",
        "cron_id": "x",
        "counters_since_delta_snapshot": 1,
    }
    thread = await create(http, metadata={**reserved, "graph_id": "echo", "mine": 1})
    assert thread["metadata"] == {"graph_id": "echo", "mine": 1}
    patched = await http.patch(f"/threads/{thread['thread_id']}", json={"metadata": {**reserved, "mine": 2}})
    assert patched.json()["metadata"] == {"graph_id": "echo", "mine": 2}


async def test_patch_merges_metadata_and_leaves_the_state_alone(http: httpx.AsyncClient) -> None:
    thread = await create(http, metadata={"a": 1, "b": {"deep": 1}})
    answer = await http.patch(f"/threads/{thread['thread_id']}", json={"metadata": {"b": None, "c": [1]}})
    patched = answer.json()
    assert patched["metadata"] == {"a": 1, "b": None, "c": [1]}
    assert patched["updated_at"] > thread["updated_at"]
    assert {k: patched[k] for k in ("created_at", "state_updated_at")} == {
        k: thread[k] for k in ("created_at", "state_updated_at")
    }
    assert (await http.get(f"/threads/{thread['thread_id']}")).json() == patched


async def test_patch_may_answer_with_nothing(sdk: LangGraphClient) -> None:
    thread = await sdk.threads.create()
    answer: Any = await sdk.http.patch(
        f"/threads/{thread['thread_id']}", json={"metadata": {"a": 1}}, headers={"Prefer": "return=minimal"}
    )
    assert answer is None
    assert (await sdk.threads.get(thread["thread_id"]))["metadata"] == {"a": 1}


async def test_ttl(http: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    thread = await sdk.threads.create(ttl=30)
    url = f"/threads/{thread['thread_id']}"
    assert "ttl" not in (await http.get(url)).json()
    ttl = (await http.get(url, params={"include": "ttl"})).json()["ttl"]
    assert (ttl["strategy"], ttl["ttl_minutes"]) == ("delete", 30)
    created = datetime.fromisoformat(str(thread["created_at"]))
    assert datetime.fromisoformat(ttl["expires_at"]) == created + timedelta(minutes=30)

    await sdk.threads.update(thread["thread_id"], metadata={}, ttl={"ttl": 0.5, "strategy": "keep_latest"})
    changed = (await http.get(url, params={"include": "ttl"})).json()["ttl"]
    assert (changed["strategy"], changed["ttl_minutes"]) == ("keep_latest", 0.5)
    assert datetime.fromisoformat(changed["expires_at"]) < datetime.now(UTC) + timedelta(minutes=1)

    await http.patch(url, json={"metadata": {"a": 1}})
    assert (await http.get(url, params={"include": "ttl"})).json()["ttl"] == changed

    without = await create(http)
    assert "ttl" not in (await http.get(f"/threads/{without['thread_id']}", params={"include": "ttl"})).json()


async def test_threads_expire_by_default_if_the_project_says_so(tmp_path: Path) -> None:
    setting = {"ttl": {"default_ttl": 60, "strategy": "keep_latest"}}
    async with served(tmp_path, checkpointer=setting) as app, connected(app) as http:
        for body, expected in [({}, ("keep_latest", 60)), ({"ttl": {"ttl": 5}}, ("delete", 5))]:
            thread_id = (await create(http, **body))["thread_id"]
            ttl = (await http.get(f"/threads/{thread_id}", params={"include": "ttl"})).json()["ttl"]
            assert (ttl["strategy"], ttl["ttl_minutes"]) == expected
            copied = (await http.post(f"/threads/{thread_id}/copy")).json()["thread_id"]
            ttl = (await http.get(f"/threads/{copied}", params={"include": "ttl"})).json()["ttl"]
            assert (ttl["strategy"], ttl["ttl_minutes"]) == ("keep_latest", 60)


MALFORMED: list[Any] = [
    {"thread_id": "not-a-uuid"},
    {"metadata": []},
    {"if_exists": "replace"},
    {"ttl": 5},
    {"ttl": {}},
    {"ttl": {"ttl": "5"}},
    {"ttl": {"ttl": -1}},
    {"ttl": {"ttl": 1e300}},
    {"ttl": {"ttl": 5, "strategy": "archive"}},
    {"supersteps": [{"updates": [{"values": {}}]}]},
]


async def test_bodies_are_checked(http: httpx.AsyncClient) -> None:
    for body in MALFORMED:
        answer = await http.post("/threads", json=body)
        assert answer.status_code == 422
        assert isinstance(answer.json()["detail"], str)
        assert (await http.post("/threads/count", json={})).json() == 0


async def test_unknown_and_malformed_ids(http: httpx.AsyncClient) -> None:
    unknown = str(uuid4())
    calls: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("GET", "/storage", None),
    ]
    for method, path, body in calls:
        missing = await http.request(method, f"/threads/{unknown}{path}", json=body)
        assert (missing.status_code, unknown in missing.json()["detail"]) == (404, True)
        malformed = await http.request(method, f"/threads/nonsense{path}", json=body)
        assert malformed.status_code == 422
    copied = await http.post(f"/threads/{unknown}/copy")
    assert (copied.status_code, copied.json()) == (409, {"detail": "Conflict"})
    assert (await http.post("/threads/nonsense/copy")).status_code == 422
    assert (await http.post("/threads")).status_code == 422
    answer = await http.get(f"/threads/{unknown}", params={"include": "history"})
    assert answer.status_code == 422


async def test_deleting_takes_everything_along(sdk: LangGraphClient, http: httpx.AsyncClient) -> None:
    thread_id = (await sdk.threads.create())["thread_id"]
    await sdk.runs.wait(thread_id, "echo", input={"x": "a"})
    await sdk.threads.delete(thread_id)
    assert (await http.get(f"/threads/{thread_id}")).status_code == 404
    assert (await http.get(f"/threads/{thread_id}/state")).status_code == 404
    # A new thread of the same id knows nothing of the former one.
    await sdk.threads.create(thread_id=thread_id, metadata={"graph_id": "echo"})
    assert (await sdk.threads.get_state(thread_id))["values"] == {}
    assert await sdk.runs.list(thread_id) == []


async def test_a_busy_thread_can_be_deleted(sdk: LangGraphClient, http: httpx.AsyncClient) -> None:
    thread_id = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread_id, "sleeper", input={"n": 60})
    await sdk.runs.create(thread_id, "sleeper", input={"n": 60})
    assert (await http.delete(f"/threads/{thread_id}")).status_code == 204
    assert (await http.get(f"/threads/{thread_id}")).status_code == 404
    assert (await http.get(f"/threads/{thread_id}/runs/{run['run_id']}")).status_code == 404


async def test_copy_has_the_history_but_not_the_runs(sdk: LangGraphClient, http: httpx.AsyncClient) -> None:
    thread_id = (await sdk.threads.create(metadata={"tag": "t"}))["thread_id"]
    await sdk.runs.wait(thread_id, "echo", input={"x": "a"}, config={"tags": ["v"]})
    copied = (await http.post(f"/threads/{thread_id}/copy")).json()
    assert copied["thread_id"] != thread_id
    assert UUID(copied["thread_id"]).version == 4
    source = (await http.get(f"/threads/{thread_id}")).json()
    assert source["config"]["tags"] == ["v"]
    assert copied["metadata"] == source["metadata"]
    assert (copied["status"], copied["config"], copied["interrupts"], copied["error"]) == ("idle", {}, {}, None)
    assert await sdk.runs.list(copied["thread_id"]) == []

    history: list[Any] = await sdk.threads.get_history(copied["thread_id"])
    original: list[Any] = await sdk.threads.get_history(thread_id)
    assert [h["values"] for h in history] == [h["values"] for h in original]
    assert [h["checkpoint"]["checkpoint_id"] for h in history] == [h["checkpoint"]["checkpoint_id"] for h in original]
    assert {h["checkpoint"]["thread_id"] for h in history} == {copied["thread_id"]}

    await sdk.runs.wait(copied["thread_id"], "echo", input={"x": "b"})
    untouched: Any = (await sdk.threads.get_state(thread_id))["values"]
    assert untouched["x"] == "a!"


async def test_storage_counts_what_is_stored(sdk: LangGraphClient, http: httpx.AsyncClient) -> None:
    thread_id = (await sdk.threads.create())["thread_id"]
    empty = (await http.get(f"/threads/{thread_id}/storage")).json()
    assert empty == {
        "thread_id": thread_id,
        "total_bytes": 0,
        "checkpoints": {"count": 0, "bytes": 0},
        "channel_values": {"count": 0, "bytes": 0, "by_channel": {}},
        "pending_writes": {"count": 0, "bytes": 0},
    }
    await sdk.runs.wait(thread_id, "echo", input={"x": "a"})
    report = (await http.get(f"/threads/{thread_id}/storage")).json()
    assert report["checkpoints"]["count"] == len(await sdk.threads.get_history(thread_id, limit=100))
    assert "x" in report["channel_values"]["by_channel"]
    assert report["total_bytes"] == sum(
        report[part]["bytes"] for part in ("checkpoints", "channel_values", "pending_writes")
    )


async def test_supersteps_seed_the_state(sdk: LangGraphClient, http: httpx.AsyncClient) -> None:
    supersteps: Any = [{"updates": [{"values": {"x": "seed"}, "as_node": "__start__"}]}]
    thread = await sdk.threads.create(graph_id="echo", supersteps=supersteps)
    assert (thread["status"], thread["values"]) == ("interrupted", {"x": "seed", "log": []})
    assert (await sdk.threads.get_state(thread["thread_id"]))["values"] == {"x": "seed", "log": []}

    thread_id = str(uuid4())
    answer = await http.post("/threads", json={"thread_id": thread_id, "supersteps": supersteps})
    assert (answer.status_code, list(answer.json())) == (201, ["detail"])
    assert (await sdk.threads.get(thread_id))["status"] == "idle"


async def test_supersteps_that_are_refused_leave_no_thread(http: httpx.AsyncClient) -> None:
    thread_id = str(uuid4())
    body = {"thread_id": thread_id, "metadata": {"graph_id": "echo"}}
    bad = [{"updates": [{"values": {"x": "1"}, "as_node": "nobody"}]}]
    assert (await http.post("/threads", json={**body, "supersteps": bad})).status_code == 400
    assert (await http.post("/threads", json=body)).status_code == 200
