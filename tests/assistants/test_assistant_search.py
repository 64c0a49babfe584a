"""Finding assistants and looking into their graphs over HTTP (spec 1.4, 2.3 to 2.6)."""

from __future__ import annotations

from typing import Any

import httpx
from sqlalchemy import update

from waystation.storage.tables import assistants


async def create(http: httpx.AsyncClient, **body: Any) -> str:
    answer = await http.post("/assistants", json={"graph_id": "echo", "metadata": {"mine": True}, **body})
    return str(answer.json()["assistant_id"])


async def names(http: httpx.AsyncClient, **body: Any) -> list[str]:
    answer = await http.post("/assistants/search", json={"metadata": {"mine": True}, **body})
    assert answer.status_code == 200, answer.text
    return [assistant["name"] for assistant in answer.json()]


async def test_filters(http: httpx.AsyncClient) -> None:
    await create(http, name="Übersetzer")
    await create(http, name="100% sure", metadata={"mine": True, "tags": ["a", "b"]})
    await create(http, name="other", graph_id="chat")
    assert await names(http) == ["other", "100% sure", "Übersetzer"]
    assert await names(http, graph_id="echo") == ["100% sure", "Übersetzer"]
    assert await names(http, name="übersetz") == ["Übersetzer"]
    assert await names(http, name="%") == ["100% sure"]
    assert await names(http, metadata={"tags": ["b"]}) == ["100% sure"]
    assert (await http.post("/assistants/count", json={"metadata": {"mine": True}, "name": "O"})).json() == 1
    for path in ("search", "count"):
        assert (await http.post(f"/assistants/{path}", json={"graph_id": "nobody"})).status_code == 404


async def test_sorting_ignores_case(http: httpx.AsyncClient) -> None:
    for name in ("b", "A", "C"):
        await create(http, name=name)
    assert await names(http, sort_by="name", sort_order="asc") == ["A", "b", "C"]
    assert await names(http, sort_by="name") == ["C", "b", "A"]
    assert await names(http, sort_by="created_at", sort_order="asc") == ["b", "A", "C"]


async def test_pages(http: httpx.AsyncClient) -> None:
    for name in ("a", "b", "c"):
        await create(http, name=name)
    body = {"metadata": {"mine": True}, "limit": 2, "select": ["name", "version"]}
    page = await http.post("/assistants/search", json=body)
    assert page.json() == [{"name": "c", "version": 1}, {"name": "b", "version": 1}]
    assert (page.headers["x-pagination-next"], page.headers["x-pagination-total"]) == ("2", "3")
    last = await http.post("/assistants/search", json={**body, "offset": 2})
    assert last.json() == [{"name": "a", "version": 1}]
    assert "x-pagination-next" not in last.headers
    assert last.headers["x-pagination-total"] == "3"


async def test_assistants_of_graphs_that_are_gone_are_hidden(http: httpx.AsyncClient, app: Any) -> None:
    hidden = await create(http, name="hidden")
    shown = await create(http, name="shown")
    gone = update(assistants).where(assistants.c.assistant_id == hidden).values(graph_id="gone")
    await app.state.server.db.write(lambda conn: conn.execute(gone) and None)
    assert await names(http) == ["shown"]
    assert (await http.post("/assistants/count", json={"metadata": {"mine": True}})).json() == 1
    assert (await http.get(f"/assistants/{hidden}")).status_code == 404
    assert (await http.get(f"/assistants/{shown}")).status_code == 200


MALFORMED: list[Any] = [{"limit": 0}, {"offset": -1}, {"sort_by": "version"}, {"select": ["kwargs"]}, {"name": 5}]


async def test_searches_are_checked(http: httpx.AsyncClient) -> None:
    for body in MALFORMED:
        assert (await http.post("/assistants/search", json=body)).status_code == 422


async def test_drawing(http: httpx.AsyncClient) -> None:
    flat = (await http.get("/assistants/nested/graph")).json()
    assert {node["id"] for node in flat["nodes"]} == {"__start__", "before", "sub", "after", "__end__"}
    opened = (await http.get("/assistants/nested/graph", params={"xray": "1"})).json()
    assert {"sub:one", "sub:two"} <= {node["id"] for node in opened["nodes"]}
    for xray in ("0", "-1", "yes"):
        assert (await http.get("/assistants/nested/graph", params={"xray": xray})).status_code == 422


async def test_schemas(http: httpx.AsyncClient) -> None:
    assistant_id = await create(http)
    schemas = (await http.get(f"/assistants/{assistant_id}/schemas")).json()
    assert schemas["graph_id"] == "echo"
    assert "x" in schemas["input_schema"]["properties"]
    assert set(schemas) == {
        "graph_id",
        "input_schema",
        "output_schema",
        "state_schema",
        "config_schema",
        "context_schema",
    }


async def test_subgraphs(http: httpx.AsyncClient) -> None:
    found = (await http.get("/assistants/nested/subgraphs")).json()
    assert list(found) == ["sub"]
    assert "graph_id" not in found["sub"]
    assert (await http.get("/assistants/nested/subgraphs/sub", params={"recurse": "true"})).json() == found
    assert (await http.get("/assistants/nested/subgraphs/nobody")).json() == {}
    assert (await http.get("/assistants/nested/subgraphs", params={"recurse": "perhaps"})).status_code == 422
