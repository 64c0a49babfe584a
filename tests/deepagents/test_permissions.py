"""Who may do what: every operation, by every kind of caller."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
from langgraph_sdk import Auth

from tests.auth.given import by_header, configured
from tests.auth.owners import owners
from tests.conftest import connected, served
from tests.deepagents.conftest import BASE, Keyed
from waystation.auth.members import user_uuid

Need = Literal["read", "run", "write", "owner"]

LEVELS = ("none", "read", "run", "write", "owner")

HUB = "/v1/platform/hub/repos/-/{id}/directories"


@dataclass(frozen=True)
class Operation:
    """A request about an agent, the level it needs, and the status of its success."""

    method: str
    path: str
    need: Need
    status: int = 200
    body: Any = None


OPERATIONS = [
    Operation("GET", BASE + "/agents/{id}", "read"),
    Operation("POST", BASE + "/agents/{id}/clone", "read", 201, {"name": "copy"}),
    Operation("GET", BASE + "/agents/{id}/health", "read"),
    Operation("GET", BASE + "/agents/{id}/revisions", "read"),
    Operation("GET", BASE + "/agents/{id}/revisions/{revision}", "read"),
    Operation("GET", HUB, "read"),
    Operation("PATCH", BASE + "/agents/{id}", "write", body={"description": "changed"}),
    Operation("PATCH", BASE + "/agents/{id}", "write", body={"files": {"a": "b"}}),
    Operation("POST", BASE + "/agents/{id}/revisions/{revision}/restore", "write"),
    Operation("POST", HUB + "/commits", "write", 201, {"files": {"c": {"content": "d"}}}),
    Operation("PATCH", BASE + "/agents/{id}", "owner", body={"permissions": {"visibility": "tenant"}}),
    Operation("DELETE", BASE + "/agents/{id}", "owner", 204),
]

USER = {"visibility": "user"}

CALLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "owner": ("owner", USER),
    "workspace read": ("read", {"tenant_access_level": "read"}),
    "workspace run": ("run", {"tenant_access_level": "run"}),
    "workspace write": ("write", {"tenant_access_level": "write"}),
    "shared read": ("read", {**USER, "shared_users": {"read": ["bob"]}}),
    "shared run": ("run", {**USER, "shared_users": {"run": [user_uuid("bob")]}}),
    "shared update": ("write", {**USER, "shared_users": {"read": ["bob"], "update": ["bob"]}}),
    "shared beyond the workspace": ("write", {"tenant_access_level": "run", "shared_users": {"update": ["bob"]}}),
    "same workspace": ("none", {**USER, "shared_users": {"update": ["carol"]}}),
    "service": ("run", {"tenant_access_level": "run"}),
    "other workspace": ("none", {"tenant_access_level": "write", "shared_users": {"update": ["bob"]}}),
}
"""The level that each has, and the permissions by which."""


def expected(operation: Operation, level: str) -> tuple[int, Any]:
    if LEVELS.index(level) >= LEVELS.index(operation.need):
        return operation.status, None
    if level == "none":
        return (204, None) if operation.method == "DELETE" else (404, "agent_not_found")
    return 403, {"error": "Forbidden"}


async def test_every_operation_by_every_caller(keyed: Keyed) -> None:
    async with keyed() as (http, make):
        keys = {name: await make("one", "bob") for name in CALLERS}
        keys |= {
            "owner": await make("one", "ann"),
            "service": await make("one", None),
            "other workspace": await make("two", "bob"),
        }
        for name, (level, permissions) in CALLERS.items():
            for operation in OPERATIONS:
                made = await created(http, keys["owner"], permissions)
                response = await ask(http, operation, made, {"X-Api-Key": keys[name]})
                status, body = expected(operation, level)
                where = (name, operation, response.text)
                assert response.status_code == status, where
                if status == 404:
                    assert response.json()["code"] == body, where
                elif status == 403:
                    assert response.json() == body, where
                after = await ask(http, OPERATIONS[0], made, {"X-Api-Key": keys["owner"]})
                if operation.method != "GET" and status != operation.status:
                    assert after.json() == made, where
                elif operation.method == "DELETE":
                    assert after.status_code == (404 if level == "owner" else 200), where


async def test_every_operation_without_a_valid_key(keyed: Keyed) -> None:
    creation = Operation("POST", f"{BASE}/agents", "read", body={"name": "a"})
    listing = Operation("GET", f"{BASE}/agents", "read")
    async with keyed() as (http, make):
        made = await created(http, await make("one", "ann"), {"tenant_access_level": "write"})
        for operation in [*OPERATIONS, creation, listing]:
            nobody = await ask(http, operation, made, {})
            assert (nobody.status_code, nobody.json()) == (401, {"error": "Unauthorized"}), operation
            wrong = await ask(http, operation, made, {"X-Api-Key": "ws_wrong"})
            assert (wrong.status_code, wrong.json()) == (403, {"error": "Forbidden"}), operation


async def test_what_callers_see_of_agents(keyed: Keyed) -> None:
    shown = {"read": "READ", "run": "RUN", "write": "WRITE", "owner": "WRITE"}
    async with keyed() as (http, make):
        ann, bob, other = [await make(*who) for who in (("one", "ann"), ("one", "bob"), ("two", "bob"))]
        names = [
            name for name, (_, permissions) in CALLERS.items() if name not in ("owner", "service", "other workspace")
        ]
        for name in names:
            made = await created(http, ann, CALLERS[name][1], name)
            found = await ask(http, OPERATIONS[0], made, {"X-Api-Key": bob})
            if (level := CALLERS[name][0]) != "none":
                assert (found.json()["access_level"], found.json()["is_owner"]) == (shown[level], False)
                assert found.json()["owner_id"] == made["owner_id"] == user_uuid("ann")

        async def listed(key: str, audience: str | None) -> set[str]:
            query = {} if audience is None else {"audience": audience}
            response = await http.get(f"{BASE}/agents", params=query, headers={"X-Api-Key": key})
            return {each["name"] for each in response.json()["items"]}

        assert await listed(ann, None) == await listed(ann, "tenant") == set(names)
        assert await listed(bob, None) == await listed(bob, "user") == set()
        assert await listed(bob, "tenant") == set(names) - {"same workspace"}
        assert await listed(other, "tenant") == set()


async def test_a_copy_belongs_to_who_makes_it(keyed: Keyed) -> None:
    async with keyed() as (http, make):
        ann, bob = await make("one", "ann"), {"X-Api-Key": await make("one", "bob")}
        made = await created(http, ann, {"tenant_access_level": "read"})
        copy = (await http.post(f"{BASE}/agents/{made['id']}/clone", headers=bob)).json()
        assert (copy["owner_id"], copy["is_owner"]) == (user_uuid("bob"), True)
        assert (await http.delete(f"{BASE}/agents/{copy['id']}", headers=bob)).status_code == 204


async def test_permissions_are_replaced_as_a_whole(keyed: Keyed) -> None:
    async with keyed() as (http, make):
        ann = await make("one", "ann")
        permissions = {"identity": "shared", "tenant_access_level": "run", "shared_users": {"read": ["bob"]}}
        made = await created(http, ann, permissions)
        assert made["permissions"] == {**permissions, "visibility": "tenant"}
        path, headers = f"{BASE}/agents/{made['id']}", {"X-Api-Key": ann}
        changed = (await http.patch(path, json={"permissions": USER}, headers=headers)).json()
        assert changed["permissions"] == {**USER, "identity": "shared", "tenant_access_level": "read"}
        refused = await http.patch(path, json={"permissions": {"identity": "personal"}}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "validation_error")


async def test_services_of_a_workspace_are_one_user(keyed: Keyed) -> None:
    async with keyed() as (http, make):
        old, new, other = await make("one", None), await make("one", None), await make("two", None)
        made = await created(http, old, USER)
        statuses = [(await ask(http, OPERATIONS[0], made, {"X-Api-Key": key})).status_code for key in (new, other)]
        assert statuses == [200, 404]


async def test_handlers_of_the_project_decide_about_agents_as_about_assistants(tmp_path: Path) -> None:
    async with served(tmp_path, auth=configured(owners())) as app, connected(app) as http:
        ann, bob = {"X-User": "ann"}, {"X-User": "bob"}
        body = {"name": "a", "permissions": {"tenant_access_level": "write"}}
        made = (await http.post(f"{BASE}/agents", json=body, headers=ann)).json()
        path = f"{BASE}/agents/{made['id']}"
        assert (await http.get(path, headers=ann)).status_code == 200
        assert (await http.get(path, headers=bob)).json()["code"] == "agent_not_found"
        assert (await http.patch(path, json={"name": "b"}, headers=bob)).status_code == 404
        assert (await http.patch(path, json={"name": "b"}, headers=ann)).status_code == 200
        listed = await http.get(f"{BASE}/agents", params={"audience": "tenant"}, headers=bob)
        assert listed.json() == {"items": [], "next_cursor": None}
        assert (await http.get(path)).json() == {"error": "Unauthorized"}


async def test_handlers_of_the_project_may_refuse(tmp_path: Path) -> None:
    auth = by_header()

    @auth.on.assistants.create
    async def refuse(ctx: Auth.types.AuthContext, value: Auth.types.AssistantsCreate) -> bool:
        return False

    async with served(tmp_path, auth=configured(auth)) as app, connected(app) as http:
        refused = await http.post(f"{BASE}/agents", json={"name": "a"}, headers={"X-User": "ann"})
        assert (refused.status_code, refused.json()) == (403, {"error": "Forbidden"})


async def created(http: httpx.AsyncClient, key: str, permissions: dict[str, Any], name: str = "a") -> dict[str, Any]:
    body = {"name": name, "permissions": permissions, "system_prompt": "x"}
    response = await http.post(f"{BASE}/agents", json=body, headers={"X-Api-Key": key})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def ask(
    http: httpx.AsyncClient, operation: Operation, agent: dict[str, Any], headers: dict[str, str]
) -> httpx.Response:
    path = operation.path.format(id=agent["id"], revision=agent["revision"])
    return await http.request(operation.method, path, json=operation.body, headers=headers)
