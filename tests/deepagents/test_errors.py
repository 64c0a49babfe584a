"""The two forms of errors, and which mistake has which status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from tests.auth.given import by_header, configured
from tests.conftest import connected, served
from tests.custom_app.given import configured as customized
from tests.deepagents.conftest import BASE, Keyed
from waystation.config import HttpConfig
from waystation.deepagents.error_bodies import TYPE

BAD: list[tuple[Any, str, str]] = [
    ({}, "missing_required_field", "name"),
    ({"name": None}, "missing_required_field", "name"),
    ({"name": "  "}, "missing_required_field", "name"),
    ({"name": "a", "skills": [{"name": "s"}]}, "missing_required_field", "skills[0].description"),
    ({"name": "a", "runtime": {"model": {"model_id": " "}}}, "missing_required_field", "runtime.model.model_id"),
    ({"name": "a", "backend": {}}, "missing_required_field", "backend.type"),
    ({"name": 1}, "invalid_request_body", "name"),
    ({"name": "a", "tools": []}, "invalid_request_body", "tools"),
    ({"name": "a", "extras": 1}, "invalid_request_body", "extras"),
    ([], "invalid_request_body", "object"),
    ("a", "invalid_request_body", "object"),
]


async def test_bodies_without_the_documented_form(http: httpx.AsyncClient) -> None:
    for body, code, about in BAD:
        response = await http.post(f"{BASE}/agents", json=body)
        error = response.json()
        assert (response.status_code, error["code"], error["status"]) == (400, code, 400), body
        assert error["type"] == TYPE + code
        assert about in error["detail"], body
        assert set(error) == {"type", "code", "detail", "status"}
    for content in (b"", b"{", b"\xff", b"{'a': 1}"):
        response = await http.post(f"{BASE}/agents", content=content)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_request_body"), content


async def test_null_is_as_good_as_nothing(http: httpx.AsyncClient) -> None:
    body = {"name": "a", "description": None, "tools": None, "permissions": None, "files": None}
    assert (await http.post(f"{BASE}/agents", json=body)).status_code == 201


QUERIES = [
    {"page_size": "0"},
    {"page_size": "101"},
    {"page_size": "x"},
    {"sort_by": "owner"},
    {"sort_order": "up"},
    {"audience": "all"},
    {"cursor": "x"},
    {"cursor": "bnVsbA"},
]


async def test_queries(http: httpx.AsyncClient) -> None:
    for query in QUERIES:
        response = await http.get(f"{BASE}/agents", params=query)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_request"), query


async def test_paths_that_nobody_serves(tmp_path: Path) -> None:
    async with served(tmp_path) as app, connected(app) as http:
        for path in (f"{BASE}/nothing", "/v1/fleet/nothing"):
            response = await http.get(path)
            assert (response.status_code, response.json()["code"]) == (404, "not_found")
        response = await http.put(f"{BASE}/agents")
        assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
        assert response.headers["allow"] == "GET, POST"
        assert (await http.get("/v1/else")).json() == {"detail": "Not Found"}


async def test_without_a_valid_key(keyed: Keyed) -> None:
    async with keyed() as (http, make):
        nothing: list[dict[str, str]] = [{}, {"X-Api-Key": ""}]
        for headers in nothing:
            response = await http.get(f"{BASE}/agents", headers=headers)
            assert (response.status_code, response.json()) == (401, {"error": "Unauthorized"})
            assert response.headers["content-type"] == "application/json"
        good = await make("one", "ann")
        for headers in ({"X-Api-Key": "x"}, {"X-Api-Key": good[:-3] + "AAA"}, {"Authorization": "Bearer x"}):
            response = await http.get(f"{BASE}/agents", headers=headers)
            assert (response.status_code, response.json()) == (403, {"error": "Forbidden"})
        assert (await http.get("/v1/fleet/agents")).json() == {"error": "Unauthorized"}


async def test_another_tenant(keyed: Keyed) -> None:
    async with keyed() as (http, make):
        key = {"X-Api-Key": await make("one", "ann")}
        for tenant, status in (("one", 200), ("two", 403), ("8d2fdf5d-7331-5702-b419-c34f4de91ad4", 403)):
            response = await http.get(f"{BASE}/agents", headers={**key, "X-Tenant-Id": tenant})
            assert response.status_code == status
        assert response.json() == {"error": "Forbidden"}


async def test_below_a_prefix_and_switched_off(tmp_path: Path) -> None:
    async with served(tmp_path, http=HttpConfig(mount_prefix="/api")) as app, connected(app) as http:
        assert (await http.post(f"/api{BASE}/agents", json={})).json()["code"] == "missing_required_field"
        assert (await http.get(f"{BASE}/agents")).json() == {"detail": "Not Found"}
    async with served(tmp_path, http=HttpConfig(disabled=frozenset({"deepagents"}))) as app, connected(app) as http:
        assert (await http.get(f"{BASE}/agents")).json() == {"detail": "Not Found"}


async def test_a_failure_of_the_server(tmp_path: Path) -> None:
    async with served(tmp_path) as app, connected(app) as http:
        server, db = app.state.server, app.state.server.db
        server.db = None
        response = await http.get(f"{BASE}/agents")
        server.db = db
        assert (response.status_code, response.json()["code"]) == (500, "internal_error")
        assert "NoneType" not in response.text
        assert (await http.get(f"{BASE}/agents")).status_code == 200


async def test_around_a_custom_app_that_is_asked_after_the_authentication(tmp_path: Path) -> None:
    given = customized(Starlette(), auth_first=True, protect_app=True)
    async with served(tmp_path, http=given, auth=configured(by_header())) as app, connected(app) as http:
        assert (await http.get(f"{BASE}/agents")).json() == {"error": "Unauthorized"}
        assert (await http.get("/threads/x")).json() == {"detail": "Who are you?"}
        known = {"X-User": "ann"}
        assert (await http.post(f"{BASE}/agents", json={}, headers=known)).json()["code"] == "missing_required_field"
