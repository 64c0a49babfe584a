"""The server's own description names what it serves, and nothing that it does not."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.contract.contract import JSON_RPC_OPERATIONS, OPERATIONS, SCHEMAS


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    response = http.get("/openapi.json")
    assert response.status_code == 200
    described: dict[str, Any] = response.json()
    return described


def described(document: dict[str, Any]) -> set[str]:
    return {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
        if method in {"get", "post", "put", "patch", "delete"}
    }


def test_every_operation_of_the_contract_is_described(document: dict[str, Any]) -> None:
    operations = {*OPERATIONS, *JSON_RPC_OPERATIONS}
    assert {_anonymous(name) for name in operations} - set(map(_anonymous, described(document))) == set()


def test_every_described_operation_is_served(document: dict[str, Any], http: httpx.Client) -> None:
    for name in described(document):
        method, path = name.split(" ")
        response = http.request(method, re.sub(r"{[^}]*}", "not-a-uuid", path), content=b"")
        assert response.status_code != 405, name
        assert response.status_code < 500, name
        assert response.text != '{"detail":"Not Found"}', name


def test_described_bodies_are_complete(document: dict[str, Any]) -> None:
    """Every property of a request body of the contract is in the server's description of it."""
    described_bodies = {
        _anonymous(f"{method.upper()} {path}"): _properties(document, each["requestBody"])
        for path, methods in document["paths"].items()
        for method, each in methods.items()
        if "requestBody" in each
    }
    for name, each in OPERATIONS.items():
        schema = each.body_schema or {}
        wanted = _property_names(schema, {"components": {"schemas": SCHEMAS}})
        assert wanted <= described_bodies.get(_anonymous(name), set()), name


def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    for reference in _references(document):
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in node, reference
            node = node[step]


def _anonymous(name: str) -> str:
    """`name` without the names of its path parameters, or what a framework adds to them."""
    return re.sub(r"{[^}]*}", "{}", name)


def _properties(document: dict[str, Any], body: dict[str, Any]) -> set[str]:
    return _property_names(body["content"]["application/json"]["schema"], document)


def _property_names(schema: dict[str, Any], document: dict[str, Any]) -> set[str]:
    if "$ref" in schema:
        return _property_names(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document)
    found = set(schema.get("properties", ()))
    for part in (*schema.get("allOf", ()), *([schema["items"]] if "items" in schema else ())):
        found |= _property_names(part, document)
    return found


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        here = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return here.union(*map(_references, node.values()))
    return set().union(*map(_references, node)) if isinstance(node, list) else set()
