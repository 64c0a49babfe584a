"""Who may do what: every operation of the API, by every kind of caller.

A new operation gets a line in `OPERATIONS`; `test_no_operation_is_forgotten` fails until it has one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
import pytest
from starlette.applications import Starlette

from tests.conftest import connected
from tests.deepagents.conftest import BASE, Keyed
from waystation.auth.members import user_uuid

Need = Literal["key", "workspace", "read", "run", "write", "owner", "thread"]

LEVELS: tuple[str, ...] = ("key", "workspace", "read", "run", "write", "owner")
"""Each includes those before it. A key of another workspace has ``key`` only; ``workspace`` sees what the workspace shares, such as MCP
servers, and not the agent. The need ``thread`` is for threads, which others than their user do not see at all."""

HUB = "/v1/platform/hub/repos/-/{agent}/directories"

THREAD = BASE + "/threads/{thread}"

RUN = THREAD + "/runs/{run}"

SAID = {"messages": [{"role": "user", "content": "Hello"}]}

FORBIDDEN = {"error": "Forbidden"}


@dataclass(frozen=True)
class Operation:
    """A request, the level that its caller needs, and the answers."""

    method: str
    path: str
    """With places for what `Given` has."""
    need: Need
    status: int = 200
    """When the caller may."""
    body: Any = None
    """With places as well."""
    hidden: int = 404
    """When the caller does not see what it is about. A caller who sees it and may not is answered 403."""


OPERATIONS = [
    Operation("GET", f"{BASE}/agents", "key"),
    Operation("POST", f"{BASE}/agents", "key", 201, {"name": "new"}),
    Operation("GET", BASE + "/agents/{agent}", "read"),
    Operation("PATCH", BASE + "/agents/{agent}", "write", body={"description": "changed"}),
    Operation("PATCH", BASE + "/agents/{agent}", "write", body={"files": {"a": "b"}}),
    Operation("PATCH", BASE + "/agents/{agent}", "owner", body={"permissions": {"visibility": "tenant"}}),
    Operation("DELETE", BASE + "/agents/{agent}", "owner", 204, hidden=204),
    Operation("POST", BASE + "/agents/{agent}/clone", "read", 201, {"name": "copy"}),
    Operation("GET", BASE + "/agents/{agent}/health", "read"),
    Operation("GET", BASE + "/agents/{agent}/revisions", "read"),
    Operation("GET", BASE + "/agents/{agent}/revisions/{revision}", "read"),
    Operation("POST", BASE + "/agents/{agent}/revisions/{revision}/restore", "write"),
    Operation("GET", HUB, "read"),
    Operation("POST", HUB + "/commits", "write", 201, {"files": {"c": {"content": "d"}}}),
    Operation("GET", BASE + "/threads?agent_id={agent}", "key"),
    Operation("POST", f"{BASE}/threads", "run", 201, {"agent_id": "{agent}"}, hidden=400),
    Operation("POST", f"{BASE}/threads/search", "key", body={}),
    Operation("GET", f"{BASE}/threads/count", "key"),
    Operation("POST", f"{BASE}/threads/count", "key", body={}),
    Operation("POST", f"{BASE}/threads/bulk-modify", "key", body={"thread_ids": ["{thread}"], "data": {"title": "x"}}),
    Operation("GET", THREAD, "thread"),
    Operation("PATCH", THREAD, "thread", body={"title": "changed"}),
    Operation("DELETE", THREAD, "thread", 204, hidden=204),
    Operation("POST", f"{BASE}/threads/runs", "run", body={"agent_id": "{agent}", "input": SAID}),
    Operation("POST", THREAD + "/runs", "thread", body={"agent_id": "{agent}", "input": SAID}),
    Operation("POST", THREAD + "/runs/stream", "thread", body={"agent_id": "{agent}", "input": SAID}),
    Operation("POST", THREAD + "/resolve-interrupt", "thread", 409, {}),
    Operation("GET", THREAD + "/state", "thread"),
    Operation("GET", THREAD + "/history", "thread"),
    Operation("GET", THREAD + "/runs", "thread"),
    Operation("GET", RUN, "thread"),
    Operation("POST", RUN + "/cancel", "thread", 404),  # it is over
    Operation("GET", RUN + "/join?cancel_on_disconnect=0", "thread"),
    Operation("GET", RUN + "/stream", "thread"),
    Operation("GET", f"{BASE}/mcp-servers", "key"),
    Operation("POST", f"{BASE}/mcp-servers", "key", 201, {"name": "new", "url": "https://new.example.com"}),
    Operation("GET", BASE + "/mcp-servers/{server}", "workspace"),
    Operation("PATCH", BASE + "/mcp-servers/{server}", "workspace", body={"oauth_mode": "per_user_dynamic_client"}),
    Operation("DELETE", BASE + "/mcp-servers/{server}", "workspace", 204, hidden=204),
    # Nobody can sign in by OAuth yet.
    Operation("POST", BASE + "/mcp-servers/{server}/oauth-provider", "workspace", 503, {}),
    Operation("GET", BASE + "/mcp/tools?url={url}", "workspace", 503),
    Operation("POST", f"{BASE}/auth-sessions", "key", 503, {"provider_id": "p", "scopes": [], "strategy": "REUSE"}),
    Operation("GET", BASE + "/auth-sessions/{server}", "key", 503),
]

USER = {"visibility": "user"}


@dataclass(frozen=True)
class Caller:
    """A key, the permissions of the agent that it is about, and the level that this gives."""

    level: str
    permissions: dict[str, Any]
    workspace: str = "one"
    user: str | None = "bob"


CALLERS = {
    "owner": Caller("owner", USER, user="ann"),
    "workspace read": Caller("read", {"tenant_access_level": "read"}),
    "workspace run": Caller("run", {"tenant_access_level": "run"}),
    "workspace write": Caller("write", {"tenant_access_level": "write"}),
    "shared read": Caller("read", {**USER, "shared_users": {"read": ["bob"]}}),
    "shared run": Caller("run", {**USER, "shared_users": {"run": [user_uuid("bob")]}}),
    "shared update": Caller("write", {**USER, "shared_users": {"read": ["bob"], "update": ["bob"]}}),
    "same workspace, not shared with": Caller("workspace", {**USER, "shared_users": {"update": ["carol"]}}),
    "service": Caller("run", {"tenant_access_level": "run"}, user=None),
    "other workspace": Caller("key", {"tenant_access_level": "write", "shared_users": {"update": ["bob"]}}, "two"),
}


@dataclass(frozen=True)
class Given:
    """What operations are about; ann has made it."""

    agent: dict[str, Any]
    server: dict[str, Any]
    thread: dict[str, Any] = field(default_factory=lambda: {"id": ""})
    """Has been run on; the run has failed, for there is no model."""
    run: str = ""

    def path(self, template: str) -> str:
        return template.format(
            agent=self.agent["id"],
            revision=self.agent["revision"],
            server=self.server["id"],
            url=self.server["url"],
            thread=self.thread["id"],
            run=self.run,
        )

    def body(self, template: Any) -> Any:
        if isinstance(template, dict):
            return {key: self.body(value) for key, value in template.items()}
        if isinstance(template, list):
            return [self.body(value) for value in template]
        return self.path(template) if isinstance(template, str) else template


@pytest.mark.parametrize("name", CALLERS)
async def test_every_operation(keyed: Keyed, name: str) -> None:
    caller = CALLERS[name]
    async with keyed() as (http, make):
        ann = await make("one", "ann")
        key = await make(caller.workspace, caller.user)
        for operation in OPERATIONS:
            about = await given(
                http, ann, caller.permissions, threaded="{thread}" in f"{operation.path}{operation.body}"
            )
            response = await ask(http, operation, about, key)
            where = (operation, response.text)
            if may(caller, operation):
                assert response.status_code == operation.status, where
            elif operation.need == "thread" or caller.level in ("key", "workspace"):
                assert response.status_code == operation.hidden, where
                assert await as_before(http, about, ann), where
            else:
                assert (response.status_code, response.json()) == (403, FORBIDDEN), where
                assert await as_before(http, about, ann), where
            await gone(http, ann)


def may(caller: Caller, operation: Operation) -> bool:
    need = "owner" if operation.need == "thread" else operation.need
    return LEVELS.index(caller.level) >= LEVELS.index(need)


async def test_every_operation_without_a_valid_key(keyed: Keyed) -> None:
    async with keyed() as (http, make):
        ann = await make("one", "ann")
        about = await given(http, ann, {"tenant_access_level": "write"})
        for operation in OPERATIONS:
            nobody = await ask(http, operation, about, None)
            assert (nobody.status_code, nobody.json()) == (401, {"error": "Unauthorized"}), operation
            wrong = await ask(http, operation, about, "ws_wrong")
            assert (wrong.status_code, wrong.json()) == (403, FORBIDDEN), operation
        assert await as_before(http, about, ann)


async def test_no_operation_is_forgotten(app: Starlette) -> None:
    async with connected(app) as http:
        paths = (await http.get("/openapi.json")).json()["paths"]
    served = {
        (method.upper(), shape(path))
        for path, methods in paths.items()
        for method in methods
        if path.startswith((f"{BASE}/", "/v1/platform/hub/"))
    }
    assert len(served) > 15
    assert served == {(each.method, shape(each.path)) for each in OPERATIONS}


def shape(path: str) -> str:
    """A path without the names of its places."""
    return re.sub(r"{[^}]*}", "{}", path.partition("?")[0])


async def given(http: httpx.AsyncClient, ann: str, permissions: dict[str, Any], *, threaded: bool = True) -> Given:
    headers = {"X-Api-Key": ann}
    body: dict[str, Any] = {"name": "a", "permissions": permissions, "system_prompt": "x"}
    agent = await http.post(f"{BASE}/agents", json=body, headers=headers)
    body = {"name": "s", "url": "https://oauth.example.com/mcp", "auth_type": "oauth"}
    server = await http.post(f"{BASE}/mcp-servers", json=body, headers=headers)
    assert (agent.status_code, server.status_code) == (201, 201), (agent.text, server.text)
    if not threaded:
        return Given(agent.json(), server.json())
    thread = await http.post(f"{BASE}/threads", json={"agent_id": agent.json()["id"]}, headers=headers)
    path = f"{BASE}/threads/{thread.json()['id']}"
    run = await http.post(f"{path}/runs", json={"agent_id": agent.json()["id"], "input": SAID}, headers=headers)
    await http.get(f"{path}/runs/{run.json()['run_id']}/join", headers=headers)
    thread = await http.get(path, headers=headers)
    return Given(agent.json(), server.json(), thread.json(), run.json()["run_id"])


async def gone(http: httpx.AsyncClient, ann: str) -> None:
    """Remove all MCP servers of ann's workspace, whose URLs would be taken."""
    headers = {"X-Api-Key": ann}
    for server in (await http.get(f"{BASE}/mcp-servers", headers=headers)).json():
        await http.delete(f"{BASE}/mcp-servers/{server['id']}", headers=headers)


async def as_before(http: httpx.AsyncClient, about: Given, ann: str) -> bool:
    headers = {"X-Api-Key": ann}
    agent = await http.get(about.path(BASE + "/agents/{agent}"), headers=headers)
    server = await http.get(about.path(BASE + "/mcp-servers/{server}"), headers=headers)
    if about.run:
        thread = await http.get(about.path(THREAD), headers=headers)
        assert thread.json() == about.thread
    return (agent.json(), server.json()) == (about.agent, about.server)


async def ask(http: httpx.AsyncClient, operation: Operation, about: Given, key: str | None) -> httpx.Response:
    headers = {} if key is None else {"X-Api-Key": key}
    return await http.request(
        operation.method, about.path(operation.path), json=about.body(operation.body), headers=headers
    )
