"""Registering MCP servers: shapes, rules, and who sees what."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import Auth

from tests.auth.given import by_header, configured
from tests.deepagents.mcp_servers.conftest import Side, Sided

URL = "https://tools.example.com/mcp"

TOKEN = [{"key": "Authorization", "value": "Bearer s3cret-t0ken"}]

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")


async def refused(
    side: Side, body: Any, status: int, code: str, *, method: str = "POST", path: str = "/mcp-servers"
) -> str:
    """The `detail` of a refusal, which has the documented form."""
    answer = await side.http.request(method, path, content=body if isinstance(body, str) else json.dumps(body))
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert (answer.status_code, found["code"]) == (status, code), found
    assert set(found) == {"type", "code", "detail", "status"}
    assert found["type"] == f"https://docs.langchain.com/errors/{code}"
    assert found["status"] == status
    detail: str = found["detail"]
    return detail


async def test_a_server_is_registered_read_listed_changed_and_deleted(side: Side) -> None:
    created = await side.register(URL, name=" Tools ", headers=TOKEN, vendor_id="v", external_system_id="e")

    assert MOMENT.fullmatch(created["created_at"])
    assert {**created, "id": "", "tenant_id": "", "created_at": "", "updated_at": ""} == {
        "id": "",
        "tenant_id": "",
        "name": "Tools",
        "url": URL,
        "headers": TOKEN,
        "auth_type": "",
        "oauth_provider_id": None,
        "oauth_mode": "",
        "created_at": "",
        "updated_at": "",
        "mcp_vendor_id": None,
        "vendor_id": "v",
        "external_system_id": "e",
    }
    path = f"/mcp-servers/{created['id']}"
    assert (await side.http.get(path)).json() == created
    other = await side.register("https://other.example.com/")
    assert (await side.http.get("/mcp-servers")).json() == [created, other]
    assert other["headers"] == []
    assert other["tenant_id"] == created["tenant_id"]

    changed = (await side.http.patch(path, json={"url": URL + "/v2", "headers": None})).json()
    assert changed == {**created, "url": URL + "/v2", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > created["updated_at"]
    assert (await side.http.patch(path, json={"headers": []})).json()["headers"] == []

    for _ in range(2):
        gone = await side.http.delete(path)
        assert (gone.status_code, gone.content) == (204, b"")
    assert (await side.http.get("/mcp-servers")).json() == [other]
    for method in ("GET", "PATCH"):
        await refused(side, {}, 404, "mcp_server_not_found", method=method, path=path)
    await refused(side, {}, 404, "mcp_server_not_found", method="GET", path="/mcp-servers/nothing")


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        ({}, 400, "missing_required_field", "'name'"),
        ({"name": " ", "url": URL}, 400, "missing_required_field", "'name'"),
        ({"name": "n", "url": ""}, 400, "missing_required_field", "'url'"),
        ({"name": "n"}, 400, "missing_required_field", "'url'"),
        ("nonsense", 400, "invalid_request_body", "JSON"),
        ([], 400, "invalid_request_body", "object"),
        ({"name": 5, "url": URL}, 400, "invalid_request_body", "name"),
        ({"name": "n", "url": URL, "headers": {"a": "b"}}, 400, "invalid_request_body", "headers"),
        ({"name": "n", "url": URL, "headers": [{"key": "A"}]}, 400, "missing_required_field", "headers[0].value"),
        ({"name": "n" * 256, "url": URL}, 422, "validation_error", "'name'"),
        ({"name": "a\u0000b", "url": URL}, 422, "validation_error", "'name'"),
        ({"name": "n", "url": "file:///etc/passwd"}, 422, "validation_error", "https://"),
        ({"name": "n", "url": "https://me:pw@example.com"}, 422, "validation_error", "password"),
        ({"name": "n", "url": URL, "auth_type": "magic"}, 422, "validation_error", "auth_type"),
        ({"name": "n", "url": URL, "headers": [{"key": "a b", "value": "x"}]}, 422, "validation_error", "headers"),
        ({"name": "n", "url": URL, "headers": [{"key": "Host", "value": "x"}]}, 422, "validation_error", "Host"),
        ({"name": "n", "url": URL, "headers": [{"key": "A", "value": "x\r\nB: y"}]}, 422, "validation_error", "'A'"),
        ({"name": "n", "url": URL, "headers": [{"key": "A", "value": "***"}]}, 422, "validation_error", "mask"),
        ({"name": "n", "url": URL, "headers": TOKEN * 2}, 422, "validation_error", "once"),
        ({"name": "n", "url": URL, "headers": TOKEN, "auth_type": "oauth"}, 422, "validation_error", "'headers'"),
        ({"name": "n", "url": URL, "oauth_mode": "per_user_dynamic_client"}, 422, "validation_error", "oauth_mode"),
        ({"name": "n", "url": URL, "auth_type": "oauth", "oauth_provider_id": "x"}, 422, "validation_error", "UUID"),
    ],
)
async def test_what_is_refused(side: Side, body: Any, status: int, code: str, told: str) -> None:
    detail = await refused(side, body, status, code)

    assert told in detail
    assert "s3cret" not in detail
    assert (await side.http.get("/mcp-servers")).json() == []


async def test_one_server_for_each_url(side: Side) -> None:
    first = await side.register(URL)
    second = await side.register("https://other.example.com/mcp")
    same = f"  {URL.upper()}/"

    await refused(side, {"name": "n", "url": same}, 409, "conflict")
    await refused(side, {"url": same}, 409, "conflict", method="PATCH", path=f"/mcp-servers/{second['id']}")

    await side.http.patch(f"/mcp-servers/{first['id']}", json={"url": URL + "/"})
    assert [each["url"] for each in (await side.http.get("/mcp-servers")).json()] == [URL + "/", second["url"]]


async def test_a_change_that_is_refused_changes_nothing(side: Side) -> None:
    created = await side.register(URL, headers=TOKEN)
    path = f"/mcp-servers/{created['id']}"

    detail = await refused(
        side, {"auth_type": "oauth", "url": URL + "/x"}, 422, "validation_error", method="PATCH", path=path
    )
    assert "'headers'" in detail
    assert "name" in await refused(side, {"name": "new"}, 422, "validation_error", method="PATCH", path=path)
    assert (await side.http.get(path)).json() == created

    to_oauth = {"auth_type": "oauth", "headers": []}
    assert (await side.http.patch(path, json=to_oauth)).json()["auth_type"] == "oauth"


async def test_an_oauth_server_can_be_registered_but_not_signed_in_to(side: Side) -> None:
    provider = str(uuid4())
    fields = {"auth_type": "oauth", "oauth_mode": "per_user_dynamic_client", "oauth_provider_id": provider}
    created = await side.register(URL, **fields)

    assert {name: created[name] for name in fields} == fields
    assert created["can_invoke"] is False
    assert "headers" not in created
    path = f"/mcp-servers/{created['id']}"
    assert (await side.http.patch(path, json={"oauth_provider_id": None})).json()["oauth_provider_id"] is None
    detail = await refused(side, {}, 503, "service_unavailable", path=path + "/oauth-provider")
    assert "OAuth" in detail
    assert (await side.http.post(path + "/oauth-provider")).status_code == 503
    tools = await side.tools(URL)
    assert (tools.status_code, tools.json()["detail"]) == (503, detail)

    plain = await side.register("https://plain.example.com")
    await refused(side, {}, 400, "invalid_request_body", path=f"/mcp-servers/{plain['id']}/oauth-provider")


async def test_workspaces_know_nothing_of_each_other(sided: Sided) -> None:
    async with sided(api_keys=True) as side:
        ann, bob = await side.key_of("blue", "ann"), await side.key_of("red", "bob")
        body = {"name": "n", "url": URL, "headers": TOKEN}
        created = (await side.http.post("/mcp-servers", json=body, headers=ann)).json()
        path = f"/mcp-servers/{created['id']}"

        assert (await side.http.get("/mcp-servers", headers=bob)).json() == []
        assert (await side.http.get(path, headers=bob)).status_code == 404
        assert (await side.http.patch(path, json={"headers": []}, headers=bob)).status_code == 404
        assert (await side.http.post(path + "/oauth-provider", headers=bob)).status_code == 404
        assert (await side.http.get("/mcp/tools", params={"url": URL}, headers=bob)).status_code == 404
        assert (await side.http.delete(path, headers=bob)).status_code == 204
        assert (await side.http.get(path, headers=ann)).json() == created

        theirs = (await side.http.post("/mcp-servers", json=body, headers=bob)).json()
        assert theirs["tenant_id"] != created["tenant_id"]
        colleague = await side.key_of("blue", "eve")
        assert (await side.http.get(path, headers=colleague)).json() == created


async def test_only_a_service_speaks_for_a_user(sided: Sided) -> None:
    async with sided(api_keys=True) as side:
        ann, service = await side.key_of("blue", "ann"), await side.key_of("blue", None)
        for key, user, status in ((ann, "bob", 403), (ann, "ann", 200), (service, "bob", 200)):
            answer = await side.http.get("/mcp-servers", headers={**key, "X-Ls-User-Id": user})
            assert answer.status_code == status
        for path in (f"/mcp/tools?url={URL}&ls_user_id=bob",):
            assert (await side.http.get(path, headers=ann)).json() == {"error": "Forbidden"}


async def test_handlers_of_the_project_may_refuse(sided: Sided) -> None:
    auth = by_header()

    @auth.on.assistants
    async def only_reading(ctx: Auth.types.AuthContext, value: Any) -> bool:
        return ctx.action in ("read", "search")

    async with sided(auth=configured(auth)) as side:
        ann = {"X-User": "ann"}
        refused = await side.http.post("/mcp-servers", json={"name": "n", "url": URL}, headers=ann)
        assert (refused.status_code, refused.json()) == (403, {"error": "Forbidden"})
        assert (await side.http.get("/mcp-servers", headers=ann)).json() == []
        assert (await side.http.get("/mcp-servers")).status_code == 401
        theirs = await side.http.get("/mcp-servers", headers={**ann, "X-Ls-User-Id": "bob"})
        assert theirs.status_code == 403


@pytest.mark.parametrize(
    "url",
    [
        "http://tools.example.com/mcp",
        "https://localhost/mcp",
        "https://127.0.0.1/mcp",
        "https://10.0.0.7/mcp",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/mcp",
        "https://0x7f000001/mcp",
        "https://db.internal/mcp",
    ],
)
async def test_addresses_that_are_not_for_everybody(sided: Sided, url: str) -> None:
    async with sided(allow_private_urls=False) as side:
        assert "'url'" in await refused(side, {"name": "n", "url": url}, 422, "validation_error")
        created = await side.register(URL)
        path = f"/mcp-servers/{created['id']}"
        await refused(side, {"url": url}, 422, "validation_error", method="PATCH", path=path)
        assert (await side.http.get(path)).json()["url"] == URL
