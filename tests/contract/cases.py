"""Valid requests for every operation of the contract.

A text that begins with ``$`` stands for a value of the `World` that the request is made in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

__all__ = ["CASES", "NEVER", "NEW_ID", "Case", "World", "filled", "make_world"]

NEW_ID = "$new_id"


@dataclass(frozen=True)
class Case:
    """A request that must succeed with `status`."""

    body: Any = None
    query: Mapping[str, Any] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    world: str = "settled"
    """``settled``: the world's thread has a finished run. ``busy``: it has one that does not end."""
    endless: bool = False
    """Whether the answer is a stream that does not end by itself."""


World = dict[str, str]


def make_world(http: httpx.Client, kind: str = "settled") -> World:
    """An assistant, a thread that had a run, and a store item; `kind` as in `Case.world`."""
    assistant = _ok(http.post("/assistants", json={"graph_id": "nested"}))
    thread = _ok(http.post("/threads", json={"metadata": {"graph_id": "echo"}}))
    thread_id = thread["thread_id"]
    _ok(http.post(f"/threads/{thread_id}/runs/wait", json={"assistant_id": "echo", "input": {"x": "hi"}}))
    run_id = _ok(http.get(f"/threads/{thread_id}/runs"))[0]["run_id"]
    state = _ok(http.get(f"/threads/{thread_id}/state"))
    http.put("/store/items", json={"namespace": ["world", thread_id], "key": "k", "value": {"n": 1}}).raise_for_status()
    world = {
        "assistant_id": assistant["assistant_id"],
        "thread_id": thread_id,
        "run_id": run_id,
        "checkpoint_id": state["checkpoint"]["checkpoint_id"],
        "namespace": "sub",
        "fresh_thread_id": _ok(http.post("/threads", json={}))["thread_id"],
        "item_namespace": f"world.{thread_id}",
        "new_id": str(uuid4()),
        "cron_id": _ok(http.post("/runs/crons", json={"assistant_id": "echo", "schedule": NEVER}))["cron_id"],
    }
    if kind == "busy":
        running = _ok(http.post(f"/threads/{thread_id}/runs", json={"assistant_id": "sleeper", "input": {"n": 600}}))
        world["run_id"] = running["run_id"]
    return world


def filled(value: Any, world: World) -> Any:
    """`value` with its placeholders replaced."""
    if isinstance(value, str):
        return world[value[1:]] if value.startswith("$") and value[1:] in world else value
    if isinstance(value, Mapping):
        return {key: filled(each, world) for key, each in value.items()}
    return [filled(each, world) for each in value] if isinstance(value, list) else value


def _ok(response: httpx.Response) -> Any:
    assert response.status_code == 200, (response.request.url, response.status_code, response.text)
    return response.json()


NEVER = "0 0 1 1 *"
"""A schedule that does not fire while the tests run, unless it is New Year's Eve."""

CONFIG = {"tags": ["a"], "recursion_limit": 20, "configurable": {"k": "v"}}
CHECKPOINT = {"thread_id": "$thread_id", "checkpoint_ns": "", "checkpoint_id": "$checkpoint_id"}

RUN: dict[str, Any] = {
    "assistant_id": "echo",
    "input": {"x": "hi"},
    "metadata": {"m": 1},
    "config": CONFIG,
    "webhook": "https://hook.invalid/",
    "stream_mode": ["values", "updates"],
    "stream_subgraphs": True,
    "stream_resumable": True,
    "feedback_keys": ["thumbs"],
    "after_seconds": 0,
    "checkpoint_during": True,
    "durability": "sync",
}
"""Every field that a run on any route takes, except those that exclude another."""

THREAD_RUN: dict[str, Any] = {
    **RUN,
    "interrupt_before": ["echo"],
    "interrupt_after": "*",
    "multitask_strategy": "enqueue",
    "if_not_exists": "create",
}
FORK: dict[str, Any] = {"assistant_id": "echo", "input": None, "checkpoint": CHECKPOINT, "context": {"a": 1}}
COMMAND: dict[str, Any] = {
    "assistant_id": "echo",
    "command": {"update": {"x": "given"}, "goto": {"node": "echo", "input": {"x": "go"}}},
    "stream_mode": "updates",
}
WATCHED = {"on_disconnect": "cancel"}
COMMAND_SENT: dict[str, Any] = {
    "id": 0,
    "method": "run.start",
    "params": {
        "assistant_id": "echo",
        "input": {"x": "hi"},
        "config": CONFIG,
        "metadata": {"m": 1},
        "multitaskStrategy": "interrupt",
    },
}
MORE_COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("state.get", {"namespace": []}),
    ("state.listCheckpoints", {"limit": 5}),
    ("state.fork", {"checkpoint_id": "$checkpoint_id", "input": {"x": "fork"}}),
    ("input.respond", {"interrupt_id": "none", "response": 1, "namespace": []}),
    ("agent.getTree", {}),
    ("subscription.subscribe", {"channels": ["values"]}),
]
CRON: dict[str, Any] = {
    "assistant_id": "echo",
    "schedule": NEVER,
    "timezone": "Europe/Paris",
    "end_time": "2090-01-01T00:00:00.000000+00:00",
    "input": {"x": "hi"},
    "metadata": {"m": 1},
    "config": CONFIG,
    "webhook": "https://hook.invalid/",
    "interrupt_before": ["echo"],
    "interrupt_after": "*",
    "enabled": True,
    "stream_mode": ["values", "updates"],
    "stream_subgraphs": True,
    "stream_resumable": True,
    "durability": "sync",
}
PAGE = {"limit": 5, "offset": 0, "sort_order": "asc"}

CASES: dict[str, list[Case]] = {
    "POST /assistants": [
        Case({"graph_id": "echo"}),
        Case(
            {
                "graph_id": "echo",
                "assistant_id": NEW_ID,
                "config": CONFIG,
                "metadata": {"a": 1},
                "if_exists": "do_nothing",
                "name": "n",
                "description": None,
            }
        ),
        Case({"graph_id": "echo", "context": {"a": 1}}),
    ],
    "POST /assistants/search": [
        Case({}),
        Case({"metadata": {}, "graph_id": "echo", "name": "e", "sort_by": "name", **PAGE}),
    ],
    "POST /assistants/count": [Case({}), Case({"metadata": {}, "graph_id": "echo", "name": "e"})],
    "GET /assistants/{assistant_id}": [Case()],
    "DELETE /assistants/{assistant_id}": [Case(status=204), Case(query={"delete_threads": "true"}, status=204)],
    "PATCH /assistants/{assistant_id}": [
        Case({}),
        Case({"graph_id": "echo", "config": CONFIG, "metadata": {}, "name": "n", "description": "d"}),
        Case({"context": {"a": 1}}),
    ],
    "GET /assistants/{assistant_id}/graph": [
        Case(),
        Case(query={"xray": "true"}),
        Case(query={"xray": 1}),
        Case(path={"assistant_id": "nested"}),
    ],
    "GET /assistants/{assistant_id}/subgraphs": [Case(), Case(query={"recurse": "true"})],
    "GET /assistants/{assistant_id}/subgraphs/{namespace}": [Case(), Case(path={"namespace": "nowhere"})],
    "GET /assistants/{assistant_id}/schemas": [Case()],
    "POST /assistants/{assistant_id}/versions": [Case({}), Case({"metadata": {}, "limit": 1, "offset": 0})],
    "POST /assistants/{assistant_id}/latest": [Case({"version": 1})],
    "POST /threads": [
        Case({}),
        Case(
            {
                "thread_id": NEW_ID,
                "metadata": {"graph_id": "echo"},
                "if_exists": "do_nothing",
                "ttl": {"ttl": 5, "strategy": "keep_latest"},
                "supersteps": [{"updates": [{"values": {"x": "a"}, "command": None, "as_node": "echo"}]}],
            }
        ),
    ],
    "POST /threads/search": [
        Case({}),
        Case(
            {
                "ids": ["$thread_id"],
                "metadata": {"graph_id": "echo"},
                "values": {"x": "hi!"},
                "status": "idle",
                "sort_by": "state_updated_at",
                "extract": {"first": "values.x"},
                **PAGE,
            }
        ),
    ],
    "POST /threads/count": [Case({}), Case({"metadata": {}, "values": {"x": "hi!"}, "status": "idle"})],
    "POST /threads/prune": [
        Case({"thread_ids": ["$thread_id"]}),
        Case({"thread_ids": ["$thread_id"], "strategy": "keep_latest"}),
    ],
    "GET /threads/{thread_id}/storage": [Case()],
    "GET /threads/{thread_id}/state": [
        Case(),
        Case(query={"subgraphs": "true"}),
        Case(path={"thread_id": "$fresh_thread_id"}),
    ],
    "POST /threads/{thread_id}/state": [
        Case({"values": {"x": "edited"}}),
        Case({"values": None, "as_node": "echo"}),
        Case({"values": {"x": "fork"}, "checkpoint": CHECKPOINT, "as_node": "echo"}),
    ],
    "GET /threads/{thread_id}/state/{checkpoint_id}": [Case(), Case(query={"subgraphs": "false"})],
    "POST /threads/{thread_id}/state/checkpoint": [Case({"checkpoint": CHECKPOINT, "subgraphs": True})],
    "GET /threads/{thread_id}/history": [Case(), Case(query={"limit": 1, "before": "$checkpoint_id"})],
    "POST /threads/{thread_id}/history": [
        Case({}),
        Case({"limit": 1, "before": CHECKPOINT, "metadata": {"source": "loop"}, "checkpoint": {"checkpoint_ns": ""}}),
    ],
    "POST /threads/{thread_id}/copy": [Case()],
    "GET /threads/{thread_id}": [Case(), Case(query={"include": "ttl"}), Case(world="busy")],
    "DELETE /threads/{thread_id}": [Case(status=204), Case(status=204, world="busy")],
    "PATCH /threads/{thread_id}": [
        Case({}),
        Case({"metadata": {"a": None}, "ttl": {"ttl": 5, "strategy": "delete"}}),
        Case({"metadata": {"a": 1}}, headers={"Prefer": "return=minimal"}, status=204),
    ],
    "GET /threads/{thread_id}/stream": [
        Case(endless=True),
        Case(query={"stream_modes": "lifecycle"}, headers={"Last-Event-ID": "-"}, endless=True),
    ],
    "POST /threads/{thread_id}/commands": [
        Case(COMMAND_SENT),
        *(Case({"id": 1, "method": method, "params": params}) for method, params in MORE_COMMANDS),
    ],
    "POST /threads/{thread_id}/stream/events": [
        Case({"channels": ["values"]}, endless=True),
        Case({"channels": ["lifecycle", "custom:x"], "namespaces": [["a"]], "depth": 1, "since": 0}, endless=True),
    ],
    "GET /threads/{thread_id}/runs": [
        Case(),
        Case(query={"limit": 1, "offset": 0, "status": "success"}),
        Case(world="busy"),
    ],
    "POST /threads/{thread_id}/runs": [Case(THREAD_RUN), Case(FORK), Case(COMMAND)],
    "POST /threads/{thread_id}/runs/stream": [Case({**THREAD_RUN, **WATCHED}), Case(FORK), Case(COMMAND)],
    "POST /threads/{thread_id}/runs/wait": [Case({**THREAD_RUN, **WATCHED}), Case(FORK), Case(COMMAND)],
    "GET /threads/{thread_id}/runs/{run_id}": [Case(), Case(world="busy")],
    "DELETE /threads/{thread_id}/runs/{run_id}": [Case(status=204), Case(status=204, world="busy")],
    "GET /threads/{thread_id}/runs/{run_id}/join": [Case(), Case(query={"cancel_on_disconnect": "true"})],
    "GET /threads/{thread_id}/runs/{run_id}/stream": [
        Case(),
        Case(query={"stream_mode": "values"}, headers={"Last-Event-ID": "-1"}),
        Case(world="busy", endless=True, query={"cancel_on_disconnect": "true"}),
    ],
    "POST /threads/{thread_id}/runs/{run_id}/cancel": [
        Case(status=202, world="busy"),
        Case(query={"wait": "true", "action": "rollback"}, world="busy"),
    ],
    "POST /runs/stream": [Case({**RUN, **WATCHED, "on_completion": "keep"}), Case(COMMAND)],
    "POST /runs/cancel": [
        Case({"thread_id": "$thread_id", "run_ids": ["$run_id"]}, status=204, world="busy"),
        Case({"status": "running"}, query={"action": "rollback"}, status=204, world="busy"),
    ],
    "POST /runs/wait": [Case({**RUN, **WATCHED, "on_completion": "keep"}), Case(COMMAND)],
    "POST /runs": [
        Case({**RUN, "on_completion": "keep"}),
        Case(COMMAND),
        Case({"assistant_id": "echo", "context": {}}),
    ],
    "POST /runs/batch": [Case([{**RUN, "on_completion": "keep"}, COMMAND])],
    "POST /runs/crons": [
        Case({**CRON, "on_run_completed": "keep"}),
        Case({"assistant_id": "echo", "schedule": "@daily", "context": {"a": 1}}),
    ],
    "POST /threads/{thread_id}/runs/crons": [
        Case({**CRON, "multitask_strategy": "reject"}),
        Case({"assistant_id": "echo", "schedule": NEVER, "enabled": False}),
    ],
    "POST /runs/crons/search": [
        Case({}),
        Case(
            {
                "assistant_id": "$assistant_id",
                "thread_id": "$thread_id",
                "enabled": True,
                "metadata": {},
                "sort_by": "next_run_date",
                **PAGE,
            }
        ),
    ],
    "POST /runs/crons/count": [
        Case({}),
        Case({"assistant_id": "$assistant_id", "thread_id": "$thread_id", "metadata": {}}),
    ],
    "GET /runs/crons/{cron_id}": [Case()],
    "PATCH /runs/crons/{cron_id}": [
        Case({**{name: value for name, value in CRON.items() if name != "assistant_id"}, "on_run_completed": "keep"}),
        Case({"end_time": None}),
    ],
    "DELETE /runs/crons/{cron_id}": [Case(status=204)],
    "PUT /store/items": [
        Case({"namespace": ["a"], "key": "k", "value": {}}, status=204),
        Case({"namespace": ["a"], "key": "k", "value": {"v": 1}, "index": ["v"], "ttl": 5}, status=204),
    ],
    "DELETE /store/items": [
        Case({"namespace": ["world", "$thread_id"], "key": "k"}, status=204),
        Case({"namespace": ["nowhere"], "key": "k"}, status=204),
    ],
    "GET /store/items": [
        Case(query={"namespace": "$item_namespace", "key": "k"}),
        Case(query={"namespace": "nowhere", "key": "k", "refresh_ttl": "false"}),
    ],
    "POST /store/items/search": [
        Case({}),
        Case(
            {
                "namespace_prefix": ["world"],
                "filter": {"n": {"$gte": 1}},
                "limit": 5,
                "offset": 0,
                "query": "q",
                "refresh_ttl": True,
            }
        ),
    ],
    "POST /store/namespaces": [
        Case({}),
        Case({"prefix": ["world"], "suffix": ["*"], "max_depth": 1, "limit": 5, "offset": 0}),
    ],
    "GET /info": [Case()],
    "GET /metrics": [Case(), Case(query={"format": "json"})],
    "GET /docs": [Case()],
    "GET /ok": [Case(), Case(query={"check_db": 1})],
}
