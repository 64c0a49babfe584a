"""What a caller may do: the project's ``on.*`` handlers (spec 18.4)."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from langgraph_sdk import Auth
from starlette.exceptions import HTTPException

from tests.auth.conftest import Protected
from tests.auth.given import by_header
from waystation.auth.handlers import ACTIONS, Handlers

ANN, BOB = {"X-User": "ann"}, {"X-User": "bob"}
Context = Auth.types.AuthContext


def named(auth: Auth, name: str) -> Any:
    async def handler(ctx: Context, value: Any) -> None: ...

    handler.__name__ = name
    return handler


def test_the_most_specific_handler_decides() -> None:
    auth = Auth()
    every = {name: named(auth, name) for name in ("exact", "resource", "action", "global")}
    auth.on(every["global"])
    auth.on(actions="read")(every["action"])
    auth.on.threads(every["resource"])
    auth.on.threads.create(every["exact"])
    handlers = Handlers(auth)

    found = {event: handlers.find(*event) for event in [("threads", "create"), ("threads", "read")]}  # type: ignore[arg-type]
    assert found == {("threads", "create"): every["exact"], ("threads", "read"): every["resource"]}
    assert handlers.find("assistants", "read") is every["action"]
    assert handlers.find("store", "put") is every["global"]


def test_what_no_handler_is_for() -> None:
    auth = Auth()
    auth.on.threads(named(auth, "threads"))
    auth.on.store(actions=["put", "get"])(named(auth, "store"))

    uncovered = Handlers(auth).uncovered()
    assert not [event for event in uncovered if event.startswith("threads.")]
    assert {"store.search", "assistants.read", "crons.create"} <= set(uncovered)
    assert "store.put" not in uncovered
    assert len(uncovered) == sum(map(len, ACTIONS.values())) - len(ACTIONS["threads"]) - 2


ANSWERS: list[tuple[Any, int, str | None]] = [
    (None, 200, None),
    (True, 200, None),
    ({}, 200, None),
    (False, 403, "Forbidden"),
    (AssertionError("not on Sundays"), 403, "not on Sundays"),
    (AssertionError(), 403, "Forbidden"),
    (Auth.exceptions.HTTPException(status_code=402, detail="pay first"), 402, "pay first"),
    (Auth.exceptions.HTTPException(status_code=404), 404, "Not Found"),
    (Auth.exceptions.HTTPException(status_code=204), 500, None),
    (HTTPException(409, "busy"), 409, "busy"),
    (RuntimeError("the password is 1234"), 500, None),
    (7, 500, None),
    ("yes", 500, None),
    ([], 500, None),
    ({"a": object()}, 500, None),
    ({"a": float("nan")}, 500, None),
    ({1: "a"}, 500, None),
    ({"$or": [{"a": 1}]}, 500, None),
    ({"$or": "ab"}, 500, None),
    ({"$or": [{"a": 1}, {}]}, 500, None),
    ({"$or": [{"a": 1}, 7]}, 500, None),
    ({"$not": [{"a": 1}, {"b": 1}]}, 500, None),
    ({"a": {"$gt": 1}}, 500, None),
    ({"a": {"$eq": 1, "$contains": 2}}, 500, None),
    ({"a": {"$contains": []}}, 500, None),
    ({"$and": [{"$or": [{"$and": [{"a": 1}, {"b": 1}]}, {"c": 1}]}, {"d": 1}]}, 500, None),
]


@pytest.mark.parametrize(("answer", "status", "detail"), ANSWERS)
async def test_answers(protected: Protected, answer: Any, status: int, detail: str | None) -> None:
    auth = by_header()

    @auth.on.threads.search
    async def judge(ctx: Context, value: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with protected(auth) as http:
        assert (await http.post("/threads", json={"metadata": {"a": 1}}, headers=ANN)).status_code == 200
        response = await http.post("/threads/search", json={}, headers=ANN)
    assert response.status_code == status
    if status == 200:
        assert len(response.json()) == 1
    else:
        assert list(response.json()) == ["detail"]
        assert "1234" not in response.text
        assert detail is None or response.json()["detail"] == detail


async def test_context_and_value(protected: Protected) -> None:
    auth, seen = by_header(), []

    @auth.on
    async def see(ctx: Context, value: Any) -> None:
        seen.append((ctx, dict(value)))

    thread_id = str(uuid4())
    async with protected(auth) as http:
        headers = {"X-User": "ann", "X-Permissions": "read write"}
        await http.post("/threads", json={"thread_id": thread_id, "metadata": {"a": 1}}, headers=headers)
        await http.post("/threads/search", json={"metadata": {"a": 1}, "status": "idle"}, headers=headers)
        run = {"assistant_id": "echo", "input": {}, "metadata": {"m": 1}}
        await http.post(f"/threads/{thread_id}/runs/wait", json=run, headers=headers)
        await http.post("/runs/wait", json=run, headers=headers)
        search = {"namespace_prefix": ["a"], "filter": {"k": 1}}
        await http.post("/store/items/search", json=search, headers=headers)
    (created, value), (_, found), (_, threaded), (_, stateless), (_, searched) = seen
    assert (created.resource, created.action, created.permissions) == ("threads", "create", ["read", "write"])
    assert (created.user.identity, created.user["org"]) == ("ann", "acme")
    assert value == {"thread_id": UUID(thread_id), "metadata": {"a": 1}, "if_exists": "raise"}
    assert found == {"metadata": {"a": 1}, "values": {}, "status": "idle", "limit": 10, "offset": 0}
    assert set(threaded) == {
        "thread_id",
        "assistant_id",
        "run_id",
        "status",
        "metadata",
        "prevent_insert_if_inflight",
        "multitask_strategy",
        "if_not_exists",
        "after_seconds",
        "kwargs",
    }
    assert (threaded["thread_id"], threaded["metadata"]) == (UUID(thread_id), {"m": 1})
    assert stateless["thread_id"] is None
    assert searched == {
        "namespace": ("a",),
        "filter": {"k": 1},
        "limit": 10,
        "offset": 0,
        "query": None,
        "refresh_ttl": None,
    }


async def test_handler_stamps_what_is_made(protected: Protected) -> None:
    auth = by_header()

    @auth.on
    async def stamp(ctx: Context, value: Any) -> None:
        value.setdefault("metadata", {})["owner"] = ctx.user.identity

    async with protected(auth) as http:
        thread = (await http.post("/threads", json={}, headers=ANN)).json()
        assert thread["metadata"] == {"owner": "ann"}
        path = f"/threads/{thread['thread_id']}"
        patched = (await http.patch(path, json={"metadata": {"a": 1}}, headers=BOB)).json()
        assert patched["metadata"] == {"owner": "bob", "a": 1}
        copied = (await http.post(f"{path}/copy", headers=ANN)).json()
        assert copied["metadata"] == {"owner": "ann", "a": 1}
        assistant = (await http.post("/assistants", json={"graph_id": "echo"}, headers=ANN)).json()
        assert assistant["metadata"] == {"owner": "ann"}
        body = {"assistant_id": "echo", "input": {}, "on_completion": "keep"}
        run = (await http.post("/runs", json=body, headers=ANN)).json()
        assert run["metadata"]["owner"] == "ann"
        made = (await http.get(f"/threads/{run['thread_id']}", headers=ANN)).json()
        assert made["metadata"]["owner"] == "ann", "a run's thread belongs to whoever made the run"


FILTERS: list[tuple[Any, list[str]]] = [
    ({"owner": "ann"}, ["ann"]),
    ({"owner": {"$eq": "ann"}}, ["ann"]),
    ({"owner": "nobody"}, []),
    ({"missing": "x"}, []),
    ({"missing": None}, []),
    ({"empty": None}, ["ann"]),
    ({"owner": "ann", "level": 2}, []),
    ({"owner": "ann", "level": 1}, ["ann"]),
    ({"level": 1.0}, ["ann"]),
    ({"level": True}, []),
    ({"level": "1"}, []),
    ({"flag": True}, ["bob"]),
    ({"flag": 1}, []),
    ({"team": {"$contains": "red"}}, ["ann", "bob"]),
    ({"team": {"$contains": ["red", "blue"]}}, ["ann"]),
    ({"team": {"$contains": ["red", "green"]}}, []),
    ({"owner": {"$contains": "ann"}}, []),
    ({"team": ["red", "blue"]}, ["ann"]),
    ({"team": ["red"]}, ["bob"]),
    ({"team": ["blue", "red"]}, []),
    ({"place": {"city": "Bonn"}}, ["bob"]),
    ({"place": {"$eq": {"city": "Bonn", "zip": 1}}}, ["ann"]),
    ({"place": {}}, []),
    ({"$or": [{"owner": "ann"}, {"owner": "bob"}]}, ["ann", "bob"]),
    ({"$and": [{"owner": "ann"}, {"level": 1}]}, ["ann"]),
    ({"$and": [{"owner": "ann"}, {"owner": "bob"}]}, []),
    ({"$or": [{"owner": "ann", "level": 9}, {"$and": [{"flag": True}, {"owner": "bob"}]}]}, ["bob"]),
    ({"level": 1, "$or": [{"owner": "ann"}, {"owner": "bob"}]}, ["ann"]),
    ({'quo"te\\$.x': "odd"}, ["bob"]),
]

MADE: list[dict[str, Any]] = [
    {"owner": "ann", "level": 1, "team": ["red", "blue"], "empty": None, "place": {"city": "Bonn", "zip": 1}},
    {"owner": "bob", "flag": True, "team": ["red"], "place": {"city": "Bonn"}, 'quo"te\\$.x': "odd"},
]


@pytest.mark.parametrize(("answer", "visible"), FILTERS)
async def test_filters(protected: Protected, answer: Any, visible: list[str]) -> None:
    auth = by_header()
    limits: dict[str, Any] = {}

    @auth.on(actions=["read", "search"])
    async def limit(ctx: Context, value: Any) -> Any:
        return limits.get("now")

    async with protected(auth) as http:
        for metadata in MADE:
            await http.post("/threads", json={"metadata": metadata}, headers=ANN)
            await http.post("/assistants", json={"graph_id": "echo", "metadata": metadata}, headers=ANN)
        everything = (await http.post("/threads/search", json={}, headers=ANN)).json()
        limits["now"] = answer
        for kind in ("threads", "assistants"):
            found = (await http.post(f"/{kind}/search", json={"sort_order": "asc"}, headers=ANN)).json()
            assert [each["metadata"]["owner"] for each in found] == visible
            assert (await http.post(f"/{kind}/count", json={}, headers=ANN)).json() == len(visible)
        for thread in everything:
            response = await http.get(f"/threads/{thread['thread_id']}", headers=ANN)
            assert (response.status_code == 200) == (thread["metadata"]["owner"] in visible)


async def test_a_client_cannot_search_past_the_filter(protected: Protected) -> None:
    auth = by_header()

    @auth.on.threads.search
    async def own(ctx: Context, value: Any) -> Any:
        return {"owner": ctx.user.identity}

    async with protected(auth) as http:
        for owner in ("ann", "bob"):
            await http.post("/threads", json={"metadata": {"owner": owner}}, headers=ANN)
        for order in ("created_at", "updated_at", "thread_id", "status", "state_updated_at"):
            body: dict[str, Any] = {"sort_by": order}
            found = (await http.post("/threads/search", json=body, headers=ANN)).json()
            assert [each["metadata"]["owner"] for each in found] == ["ann"]
            found = (
                await http.post("/threads/search", json={**body, "metadata": {"owner": "bob"}}, headers=ANN)
            ).json()
            assert found == []


async def test_assistants_of_the_server(protected: Protected) -> None:
    """A filter hides them, and everybody may run them all the same (spec 18.4)."""
    auth = by_header()
    events = []

    @auth.on
    async def own(ctx: Context, value: Any) -> Any:
        events.append((ctx.resource, ctx.action))
        value.setdefault("metadata", {})["owner"] = ctx.user.identity
        return {"owner": ctx.user.identity}

    async with protected(auth) as http:
        assert (await http.post("/assistants/search", json={}, headers=ANN)).json() == []
        assert (await http.get("/assistants/echo", headers=ANN)).status_code == 404
        events.clear()
        body = {"assistant_id": "echo", "input": {"x": "a"}}
        assert (await http.post("/runs/wait", json=body, headers=ANN)).json()["x"] == "a!"
        assert events == [("threads", "create_run")]

        forged = {"graph_id": "echo", "metadata": {"created_by": "system"}}
        own_id = (await http.post("/assistants", json=forged, headers=ANN)).json()["assistant_id"]
        body["assistant_id"] = own_id
        events.clear()
        assert (await http.post("/runs/wait", json=body, headers=BOB)).status_code == 404
        assert events == [("threads", "create_run"), ("assistants", "read")]
        assert (await http.post("/runs/wait", json=body, headers=ANN)).status_code == 200
        batch = [body, {**body, "assistant_id": "echo"}]
        assert (await http.post("/runs/batch", json=batch, headers=ANN)).status_code == 200
        assert (await http.post("/runs/batch", json=batch, headers=BOB)).status_code == 404


async def test_store_handlers_rewrite_namespaces(protected: Protected) -> None:
    auth = by_header()

    @auth.on.store
    async def scope(ctx: Context, value: Any) -> Any:
        value["namespace"] = (ctx.user.identity, *(value["namespace"] or ()))
        if ctx.action == "search":
            return {"public": True}
        return {"nothing": "of it"} if ctx.action == "get" else None

    async with protected(auth) as http:
        for key, public in (("a", True), ("b", False)):
            item = {"namespace": ["notes"], "key": key, "value": {"public": public, "n": 1}}
            assert (await http.put("/store/items", json=item, headers=ANN)).status_code == 204
        found = (await http.get("/store/items", params={"namespace": "notes", "key": "b"}, headers=ANN)).json()
        assert found["namespace"] == ["ann", "notes"], "a filter limits only searches"
        search = {"namespace_prefix": [], "filter": {"n": 1}}
        items = (await http.post("/store/items/search", json=search, headers=ANN)).json()["items"]
        assert [item["key"] for item in items] == ["a"]
        assert (await http.post("/store/items/search", json=search, headers=BOB)).json() == {"items": []}
        assert (await http.post("/store/namespaces", json={}, headers=ANN)).json() == {"namespaces": [["ann", "notes"]]}
        assert (await http.post("/store/namespaces", json={}, headers=BOB)).json() == {"namespaces": []}


@pytest.mark.parametrize(("namespace", "status"), [(("a.b",), 422), ((), 400), (("langgraph",), 400), ("text", 422)])
async def test_a_rewritten_namespace_is_checked(protected: Protected, namespace: Any, status: int) -> None:
    auth = by_header()

    @auth.on.store.put
    async def scope(ctx: Context, value: Any) -> None:
        value["namespace"] = namespace

    async with protected(auth) as http:
        item = {"namespace": ["notes"], "key": "k", "value": {}}
        assert (await http.put("/store/items", json=item, headers=ANN)).status_code == status


async def test_pruning_asks_for_each_thread(protected: Protected) -> None:
    auth = by_header()

    @auth.on.threads.delete
    async def only_small(ctx: Context, value: Any) -> Any:
        return {"size": "small"} if "thread_id" in value else None

    async with protected(auth) as http:
        ids = [await _thread(http, size) for size in ("small", "small", "large")]
        response = await http.post("/threads/prune", json={"thread_ids": ids}, headers=ANN)
        assert response.status_code == 404
        assert (await http.post("/threads/count", json={}, headers=ANN)).json() == 3
        response = await http.post("/threads/prune", json={"thread_ids": [*ids[:2], str(uuid4())]}, headers=ANN)
        assert response.json() == {"pruned_count": 2}


async def _thread(http: httpx.AsyncClient, size: str) -> str:
    response = await http.post("/threads", json={"metadata": {"size": size}}, headers=ANN)
    return str(response.json()["thread_id"])
