"""Which events each endpoint causes, in order (spec 18.5, row by row)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import Auth

from tests.auth.conftest import Protected
from tests.auth.given import by_header

ANN = {"X-User": "ann"}
STEPS = [{"updates": [{"values": {"x": "a"}, "as_node": "echo"}]}]
RUN = {"assistant_id": "echo", "input": {}}
OWN_RUN = {"assistant_id": "$assistant", "input": {}}
CRON = {"assistant_id": "echo", "schedule": "0 0 1 1 *"}
OWN_CRON = {"assistant_id": "$assistant", "schedule": "0 0 1 1 *"}
CHECKPOINT = {"checkpoint": {"checkpoint_ns": ""}}

ROWS: list[tuple[str, str, Any, str]] = [
    ("POST", "/assistants", {"graph_id": "echo"}, "assistants.create"),
    ("GET", "/assistants/$assistant", None, "assistants.read"),
    ("GET", "/assistants/$assistant/graph", None, "assistants.read"),
    ("GET", "/assistants/$assistant/schemas", None, "assistants.read"),
    ("GET", "/assistants/$assistant/subgraphs", None, "assistants.read"),
    ("POST", "/assistants/$assistant/versions", {}, "assistants.read"),
    ("PATCH", "/assistants/$assistant", {}, "assistants.update"),
    ("POST", "/assistants/$assistant/latest", {"version": 1}, "assistants.update"),
    ("DELETE", "/assistants/$assistant", None, "assistants.delete"),
    ("DELETE", "/assistants/$busy_assistant", None, "assistants.delete threads.update"),
    ("DELETE", "/assistants/$busy_assistant?delete_threads=true", None, "assistants.delete threads.delete"),
    ("POST", "/assistants/search", {}, "assistants.search"),
    ("POST", "/assistants/count", {}, "assistants.search"),
    ("POST", "/threads", {}, "threads.create"),
    (
        "POST",
        "/threads",
        {"metadata": {"graph_id": "echo"}, "supersteps": STEPS},
        "threads.create threads.update threads.read",
    ),
    ("GET", "/threads/$thread", None, "threads.read"),
    ("GET", "/threads/$thread/state", None, "threads.read"),
    ("GET", "/threads/$thread/state/$checkpoint", None, "threads.read"),
    ("POST", "/threads/$thread/state/checkpoint", CHECKPOINT, "threads.read"),
    ("GET", "/threads/$thread/history", None, "threads.read"),
    ("POST", "/threads/$thread/history", {}, "threads.read"),
    ("GET", "/threads/$thread/storage", None, "threads.read"),
    ("GET", "/threads/$missing/stream", None, "threads.read"),
    ("PATCH", "/threads/$thread", {}, "threads.update"),
    ("POST", "/threads/$thread/state", {"values": {}}, "threads.update threads.read"),
    ("DELETE", "/threads/$thread", None, "threads.delete"),
    ("POST", "/threads/prune", {"thread_ids": ["$thread", "$thread", "$missing"]}, "threads.delete " * 3),
    ("POST", "/threads/$thread/copy", None, "threads.read threads.create"),
    ("POST", "/threads/search", {}, "threads.search"),
    ("POST", "/threads/count", {}, "threads.search"),
    ("POST", "/threads/$thread/runs", RUN, "threads.create_run"),
    ("POST", "/threads/$thread/runs/wait", RUN, "threads.create_run"),
    ("POST", "/threads/$thread/runs/stream", RUN, "threads.create_run"),
    ("POST", "/runs", RUN, "threads.create_run"),
    ("POST", "/runs/wait", RUN, "threads.create_run"),
    ("POST", "/runs/stream", RUN, "threads.create_run"),
    ("POST", "/runs/batch", [RUN, RUN], "threads.create_run threads.create_run"),
    ("POST", "/threads/$thread/runs/wait", OWN_RUN, "threads.create_run assistants.read"),
    ("POST", "/runs/wait", OWN_RUN, "threads.create_run assistants.read"),
    ("POST", "/runs/batch", [OWN_RUN, RUN], "threads.create_run assistants.read threads.create_run"),
    ("GET", "/threads/$thread/runs/$run", None, "threads.read"),
    ("GET", "/threads/$thread/runs/$run/join", None, "threads.read"),
    ("GET", "/threads/$thread/runs/$run/stream", None, "threads.read"),
    ("GET", "/runs/$run/stream", None, "threads.read"),
    ("GET", "/threads/$thread/runs/$run/join?cancel_on_disconnect=1", None, "threads.read threads.update"),
    ("GET", "/threads/$thread/runs", None, "threads.read threads.search"),
    ("POST", "/threads/$thread/runs/$run/cancel", None, "threads.update"),
    ("POST", "/runs/cancel", {"status": "all"}, "threads.update"),
    ("POST", "/runs/cancel", {"thread_id": "$thread", "run_ids": ["$run"]}, "threads.update"),
    ("DELETE", "/threads/$thread/runs/$run", None, "threads.delete"),
    ("GET", "/threads/$thread/runs/$run/webhooks", None, "threads.read"),
    ("POST", "/runs/crons", CRON, "crons.create"),
    ("POST", "/runs/crons", OWN_CRON, "crons.create assistants.read"),
    ("POST", "/threads/$thread/runs/crons", CRON, "crons.create threads.read"),
    ("POST", "/threads/$thread/runs/crons", OWN_CRON, "crons.create assistants.read threads.read"),
    ("GET", "/runs/crons/$cron", None, "crons.read"),
    ("PATCH", "/runs/crons/$cron", {"enabled": False}, "crons.update"),
    ("DELETE", "/runs/crons/$cron", None, "crons.delete"),
    ("POST", "/runs/crons/search", {}, "crons.search threads.search"),
    ("POST", "/runs/crons/count", {}, "crons.search threads.search"),
    ("POST", "/runs/crons/search", {"thread_id": "$thread"}, "crons.search threads.read"),
    ("POST", "/runs/crons/count", {"thread_id": "$thread"}, "crons.search threads.read"),
    ("PUT", "/store/items", {"namespace": ["a"], "key": "k", "value": {}}, "store.put"),
    ("GET", "/store/items?namespace=a&key=k", None, "store.get"),
    ("DELETE", "/store/items", {"namespace": ["a"], "key": "k"}, "store.delete"),
    ("POST", "/store/items/search", {}, "store.search"),
    ("POST", "/store/namespaces", {}, "store.list_namespaces"),
]


@pytest.mark.parametrize(("method", "path", "body", "events"), ROWS)
async def test_events(protected: Protected, method: str, path: str, body: Any, events: str) -> None:
    auth, caused, refused = by_header(), [], set()

    @auth.on
    async def record(ctx: Auth.types.AuthContext, value: Any) -> bool:
        caused.append(f"{ctx.resource}.{ctx.action}")
        return caused[-1] not in refused

    async with protected(auth) as http:
        world = await _world(http, busy="$busy" in path)
        caused.clear()
        response = await _send(http, method, path, body, world)
        assert caused == events.split()
        assert response.status_code in (200, 202, 204, 404), response.text

        first = events.split()[0]
        refused.add(first)
        response = await _send(http, method, path, body, world)
        assert (response.status_code, response.json()) == (403, {"detail": "Forbidden"}), f"refused {first}"


async def _world(http: httpx.AsyncClient, *, busy: bool) -> dict[str, str]:
    assistant = (await http.post("/assistants", json={"graph_id": "echo"}, headers=ANN)).json()["assistant_id"]
    thread = (await http.post("/threads", json={}, headers=ANN)).json()["thread_id"]
    await http.post(f"/threads/{thread}/runs/wait", json=RUN, headers=ANN)
    run = (await http.get(f"/threads/{thread}/runs", headers=ANN)).json()[0]["run_id"]
    state = (await http.get(f"/threads/{thread}/state", headers=ANN)).json()
    world = {
        "assistant": assistant,
        "thread": thread,
        "run": run,
        "checkpoint": state["checkpoint_id"],
        "cron": (await http.post("/runs/crons", json=CRON, headers=ANN)).json()["cron_id"],
        "missing": str(uuid4()),
    }
    if busy:
        other = (await http.post("/assistants", json={"graph_id": "sleeper"}, headers=ANN)).json()["assistant_id"]
        body = {"assistant_id": other, "input": {"n": 600}, "if_not_exists": "create"}
        await http.post(f"/threads/{uuid4()}/runs", json=body, headers=ANN)
        world["busy_assistant"] = other
    return world


async def _send(http: httpx.AsyncClient, method: str, path: str, body: Any, world: dict[str, str]) -> httpx.Response:
    return await http.request(
        method, _filled(path, world), headers=ANN, **({} if body is None else {"json": _filled(body, world)})
    )


def _filled(value: Any, world: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in world.items():
            value = value.replace(f"${name}", text)
        return value
    if isinstance(value, list):
        return [_filled(each, world) for each in value]
    return {key: _filled(each, world) for key, each in value.items()} if isinstance(value, dict) else value
