"""The API's description of itself."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from waystation.http.openapi import operation
from waystation.http.router import Route, Router
from waystation.system.openapi import openapi_document
from waystation.system.reference import reference_page


class Search(BaseModel):
    graph_id: str | None = None


class Create(BaseModel):
    graph_id: str


@pytest.fixture
def routes() -> list[Route]:
    router = Router()
    graph_id = {"name": "graph_id", "in": "query", "schema": {"type": "string"}}

    @router.post("/create", **operation("Create", Create, parameters=[graph_id]))
    async def create(_: Request) -> Response:
        return Response()

    @router.post("/search", **operation("Search", Search))
    async def search(_: Request) -> Response:
        return Response()

    return router.routes


async def test_the_document(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    assert document["info"]["title"] == "Waystation"
    assert document["security"] == []
    assert [tag["name"] for tag in document["tags"]] == ["Store", "System"]
    put = document["paths"]["/store/items"]["put"]
    reference = put["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert reference == "#/components/schemas/StorePutRequest"
    assert document["components"]["schemas"]["StorePutRequest"]["required"] == ["namespace", "key", "value"]
    assert "204" in put["responses"]
    assert document["paths"]["/ok"]["get"]["parameters"][0]["name"] == "check_db"
    parameters = document["paths"]["/store/items"]["get"]["parameters"]
    assert [parameter["name"] for parameter in parameters] == ["key", "namespace", "refresh_ttl"]


def test_graph_ids_are_filled_in(routes: list[Route]) -> None:
    document = openapi_document(routes, ["chat", "agent"])
    schemas = document["components"]["schemas"]
    assert schemas["Create"]["properties"]["graph_id"]["enum"] == ["agent", "chat"]
    variants = schemas["Search"]["properties"]["graph_id"]["anyOf"]
    assert variants == [{"type": "string", "enum": ["agent", "chat"]}, {"type": "null"}]
    (parameter,) = document["paths"]["/create"]["post"]["parameters"]
    assert parameter["schema"]["enum"] == ["agent", "chat"]


def test_a_server_without_graphs_restricts_nothing(routes: list[Route]) -> None:
    openapi_document(routes, ["agent"])
    document = openapi_document(routes, [])
    assert "enum" not in document["components"]["schemas"]["Create"]["properties"]["graph_id"]
    assert "enum" not in document["paths"]["/create"]["post"]["parameters"][0]["schema"]


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_the_page_shows_every_operation_and_loads_nothing(api: httpx.AsyncClient) -> None:
    response = await api.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page = Page()
    page.feed(response.text)
    assert page.open == []
    document = (await api.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method, described in operations.items():
            assert f"{method.upper()}{path}{described['summary']}" in page.text
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe"}
    references = [attributes["href"] for _, attributes in page.tags if "href" in attributes]
    assert all(re.match(r"#|openapi\.json$", reference) for reference in references)
    assert "url(" not in response.text


def test_the_page_escapes_what_it_shows() -> None:
    operation = {
        "tags": ['<b>"x"'],
        "summary": "<script>",
        "description": "<i>",
        "parameters": [{"name": "<p>", "in": "query", "schema": {"default": "</code>"}}],
        "responses": {"200": {"description": "<u>", "content": {"a/b": {"schema": {"title": "</pre>"}}}}},
    }
    document = {
        "info": {"title": "<t>", "version": "<v>"},
        "paths": {"/<path>": {"get": operation}},
        "components": {"schemas": {"<S>": {"description": "<d>"}}},
    }
    page = Page()
    page.feed(reference_page(document))
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "i", "u", "b", "p>", "path", "t", "v", "d", "s"}
