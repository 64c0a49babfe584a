"""One description of the API and of a custom app (spec 20)."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from structlog.testing import capture_logs

from tests.auth.given import by_header
from tests.custom_app.conftest import Customized


class Order(BaseModel):
    """Something ordered."""

    name: str


class StorePutRequest(BaseModel):
    """Not what the server calls so."""

    shelf: str


def an_app() -> FastAPI:
    app = FastAPI()

    @app.post("/orders", tags=["Orders"])
    async def order(given: Order) -> Order:
        return given

    @app.put("/shelf")
    async def shelve(given: StorePutRequest) -> None: ...

    @app.get("/info")
    async def own_info() -> str:
        """All about us."""
        return "mine"

    @app.get("/ok")
    async def own_ok() -> str:
        """Never called."""
        return "mine"

    return app


async def test_fastapi_describes_itself(customized: Customized) -> None:
    async with customized(an_app()) as http:
        document = (await http.get("/openapi.json")).json()
        page = (await http.get("/docs")).text
    paths, schemas = document["paths"], document["components"]["schemas"]
    assert document["info"]["title"] == "Waystation"
    body = paths["/orders"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Order"}
    assert schemas["Order"]["properties"] == {"name": {"title": "Name", "type": "string"}}
    assert paths["/info"]["get"]["description"] == "All about us."
    assert paths["/ok"]["get"]["summary"] == "Whether the server answers"
    assert "/threads" in paths
    assert {"Orders", "Custom", "Threads"} <= {tag["name"] for tag in document["tags"]}
    assert paths["/shelf"]["put"]["tags"] == ["Custom"]
    for text in ("/orders", "Something ordered", "/threads/search"):
        assert text in page


async def test_components_of_one_name(customized: Customized) -> None:
    async with customized(an_app()) as http:
        document = (await http.get("/openapi.json")).json()

    def body_of(path: str) -> Any:
        schema = document["paths"][path]["put"]["requestBody"]["content"]["application/json"]["schema"]
        return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]

    assert list(body_of("/shelf")["properties"]) == ["shelf"]
    assert "namespace" in body_of("/store/items")["properties"]


async def test_who_has_to_authenticate(customized: Customized) -> None:
    app = an_app()

    @app.get("/keyed", dependencies=[Security(APIKeyHeader(name="X-Own"))])
    async def keyed() -> None: ...

    async with customized(app, auth=by_header()) as http:
        document = (await http.get("/openapi.json")).json()
        assert document["paths"]["/orders"]["post"]["security"] == []
        assert document["paths"]["/keyed"]["get"]["security"] == [{"APIKeyHeader": []}]
        assert "APIKeyHeader" in document["components"]["securitySchemes"]
    async with customized(app, auth=by_header(), protect_app=True) as http:
        document = (await http.get("/openapi.json")).json()
        assert "security" not in document["paths"]["/orders"]["post"]  # that of the document


async def test_what_can_be_said_of_a_starlette_app(customized: Customized) -> None:
    async def pages(_request: Request) -> Response:
        """A page of the book.

        And more about it."""
        return PlainTextResponse("")

    async def described(_request: Request) -> Response:
        """
        About this.
        ---
        summary: Said in YAML
        responses:
          200:
            description: Fine
        """
        return PlainTextResponse("")

    app = Starlette(
        routes=[Mount("/book", routes=[Route("/{page:int}", pages)]), Route("/yaml", described, methods=["POST"])]
    )
    async with customized(app) as http:
        document = (await http.get("/openapi.json")).json()
        assert (await http.get("/docs")).status_code == 200
    operation = document["paths"]["/book/{page}"]["get"]
    assert operation["summary"] == "A page of the book."
    assert operation["parameters"][0]["name"] == "page"
    assert document["paths"]["/yaml"]["post"]["summary"] == "Said in YAML"


async def test_an_app_that_does_not_describe_itself(customized: Customized) -> None:
    app = FastAPI(openapi_url=None)

    @app.get("/hidden")
    async def hidden() -> None: ...

    async with customized(app) as http:
        document = (await http.get("/openapi.json")).json()
        assert "/hidden" not in document["paths"]


async def test_an_app_that_cannot_describe_itself(customized: Customized) -> None:
    app = an_app()

    def fail() -> Any:
        raise RuntimeError("no schema today")

    app.openapi = fail  # type: ignore[method-assign]
    async with customized(app) as http:
        with capture_logs() as logs:
            document = (await http.get("/openapi.json")).json()
    assert "/threads" in document["paths"]
    assert ["no schema today" in str(entry["exc_info"]) for entry in logs if entry["log_level"] == "error"] == [True]
