"""What permissions of agents mean; `test_permission_matrix` has who may do what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk import Auth

from tests.auth.given import by_header, configured
from tests.auth.owners import owners
from tests.conftest import connected, served
from tests.deepagents.conftest import BASE, Keyed
from waystation.auth.members import user_uuid

USER = {"visibility": "user"}

SHARED: dict[str, tuple[str | None, dict[str, Any]]] = {
    "workspace read": ("READ", {"tenant_access_level": "read"}),
    "workspace run": ("RUN", {"tenant_access_level": "run"}),
    "workspace write": ("WRITE", {"tenant_access_level": "write"}),
    "shared read": ("READ", {**USER, "shared_users": {"read": ["bob"]}}),
    "shared run": ("RUN", {**USER, "shared_users": {"run": [user_uuid("bob")]}}),
    "shared update": ("WRITE", {**USER, "shared_users": {"read": ["bob"], "update": ["bob"]}}),
    "shared beyond the workspace": ("WRITE", {"tenant_access_level": "run", "shared_users": {"update": ["bob"]}}),
    "shared with others": (None, {**USER, "shared_users": {"update": ["carol"]}}),
}
"""The level that bob has, and the permissions by which."""


async def test_what_callers_see_of_agents(keyed: Keyed) -> None:
    async with keyed() as (http, make):
        ann, bob, other = [await make(*who) for who in (("one", "ann"), ("one", "bob"), ("two", "bob"))]
        for name, (level, permissions) in SHARED.items():
            made = await created(http, ann, permissions, name)
            found = await seen(http, made, bob)
            assert found.status_code == (404 if level is None else 200)
            if level is not None:
                assert (found.json()["access_level"], found.json()["is_owner"]) == (level, False)
                assert found.json()["owner_id"] == made["owner_id"] == user_uuid("ann")

        async def listed(key: str, audience: str | None) -> set[str]:
            query = {} if audience is None else {"audience": audience}
            response = await http.get(f"{BASE}/agents", params=query, headers={"X-Api-Key": key})
            return {each["name"] for each in response.json()["items"]}

        assert await listed(ann, None) == await listed(ann, "tenant") == set(SHARED)
        assert await listed(bob, None) == await listed(bob, "user") == set()
        assert await listed(bob, "tenant") == set(SHARED) - {"shared with others"}
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
        statuses = [(await seen(http, made, key)).status_code for key in (new, other)]
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


async def seen(http: httpx.AsyncClient, agent: dict[str, Any], key: str) -> httpx.Response:
    return await http.get(f"{BASE}/agents/{agent['id']}", headers={"X-Api-Key": key})
