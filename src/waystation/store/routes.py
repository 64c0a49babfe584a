"""The store over HTTP (spec 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.store.base import NOT_PROVIDED, InvalidNamespaceError
from starlette.requests import Request
from starlette.responses import Response

from waystation.errors import BadInput, UnprocessableInput
from waystation.http.authorization import allowed
from waystation.http.bodies import read_body
from waystation.http.openapi import operation
from waystation.http.parameters import flag
from waystation.http.responses import empty, json_response
from waystation.http.router import Router
from waystation.store import CustomStore, Store
from waystation.store.models import (
    ITEM,
    ITEM_PARAMETERS,
    ITEMS,
    NAMESPACES,
    StoreDeleteRequest,
    StoreListNamespacesRequest,
    StorePutRequest,
    StoreSearchRequest,
    item_json,
)
from waystation.store.namespaces import encode_namespace

__all__ = ["router"]

router = Router(tags=["Store"])

RESERVED_ROOT = "langgraph"
"""The first label of namespaces that LangGraph keeps for itself."""


@router.put("/store/items", **operation("Store an item", StorePutRequest, status=204))
async def put_item(request: Request) -> Response:
    body = await read_body(request, StorePutRequest)
    asked = {
        "namespace": _writable(body.namespace),
        "key": body.key,
        "value": body.value,
        "index": body.index,
    }
    access = await allowed(request, "store", "put", asked)
    ttl = body.ttl if "ttl" in body.model_fields_set else NOT_PROVIDED
    value: Any = asked["value"]
    await (
        _store(request)
        .seen_by(access.unfiltered("store"))
        .aput(_writable(asked["namespace"]), _key(asked), value, body.index, ttl=ttl)
    )
    return empty()


@router.get("/store/items", **operation("Get an item", answer=ITEM, parameters=ITEM_PARAMETERS))
async def get_item(request: Request) -> Response:
    key = request.query_params.get("key")
    if key is None:
        raise BadInput("The query parameter 'key' is missing.")
    parts = request.query_params.getlist("namespace")
    if not parts:
        raise UnprocessableInput("The query parameter 'namespace' is missing: the labels, joined by dots.")
    namespace = _namespace([label for part in parts for label in part.split(".")])
    refresh = flag(request, "refresh_ttl") if "refresh_ttl" in request.query_params else None
    asked = {"namespace": namespace, "key": key}
    access = await allowed(request, "store", "get", asked)
    item = (
        await _store(request)
        .seen_by(access.unfiltered("store"))
        .aget(_namespace(asked["namespace"]), _key(asked), refresh_ttl=refresh)
    )
    return json_response(None if item is None else item_json(item))


@router.delete("/store/items", **operation("Delete an item", StoreDeleteRequest, status=204))
async def delete_item(request: Request) -> Response:
    body = await read_body(request, StoreDeleteRequest)
    asked = {"namespace": _namespace(body.namespace), "key": body.key}
    access = await allowed(request, "store", "delete", asked)
    await _store(request).seen_by(access.unfiltered("store")).adelete(_namespace(asked["namespace"]), _key(asked))
    return empty()


@router.post("/store/items/search", **operation("Search items", StoreSearchRequest, ITEMS))
async def search_items(request: Request) -> Response:
    body = await read_body(request, StoreSearchRequest)
    asked = {
        "namespace": _namespace(body.namespace_prefix or ()),
        "filter": body.filter or {},
        "limit": body.limit,
        "offset": body.offset,
        "query": body.query,
        "refresh_ttl": body.refresh_ttl,
    }
    access = await allowed(request, "store", "search", asked)
    wanted: Any = asked["filter"]
    items = (
        await _store(request)
        .seen_by(access)
        .asearch(
            _namespace(asked["namespace"]),
            query=body.query,
            filter=wanted or None,
            limit=body.limit,
            offset=body.offset,
            refresh_ttl=body.refresh_ttl,
        )
    )
    return json_response({"items": [item_json(item) for item in items]})


@router.post("/store/namespaces", **operation("List namespaces", StoreListNamespacesRequest, NAMESPACES))
async def list_namespaces(request: Request) -> Response:
    body = await read_body(request, StoreListNamespacesRequest)
    asked = {
        "namespace": _namespace(body.prefix),
        "suffix": _namespace(body.suffix),
        "max_depth": body.max_depth,
        "limit": body.limit,
        "offset": body.offset,
    }
    access = await allowed(request, "store", "list_namespaces", asked)
    namespaces = (
        await _store(request)
        .seen_by(access.unfiltered("store"))
        .alist_namespaces(
            prefix=_namespace(asked["namespace"]),
            suffix=_namespace(asked["suffix"]),
            max_depth=body.max_depth,
            limit=body.limit,
            offset=body.offset,
        )
    )
    return json_response({"namespaces": namespaces})


def _store(request: Request) -> Store | CustomStore:
    """The store. Only a search can be filtered by a handler; otherwise its answer only allows or refuses (spec 10)."""
    store: Store | CustomStore = request.app.state.server.store
    return store


def _key(asked: Mapping[str, Any]) -> str:
    """The key of an event's value, as the handler has left it."""
    return str(asked["key"])


def _writable(labels: Any) -> tuple[str, ...]:
    """A namespace that items may be put in."""
    namespace = _namespace(labels)
    if not namespace:
        raise BadInput("The namespace of an item must have at least one label.")
    if namespace[0] == RESERVED_ROOT:
        raise BadInput(f"Namespaces that begin with {RESERVED_ROOT!r} are reserved.")
    return namespace


def _namespace(labels: Any) -> tuple[str, ...]:
    """The namespace of a request, or what a handler has made of it, whose labels must be fit to be stored."""
    if labels is None:
        return ()
    if isinstance(labels, str) or not isinstance(labels, Sequence):
        raise UnprocessableInput("The namespace is not a list of labels.")
    try:
        encode_namespace(labels)
    except InvalidNamespaceError as error:
        raise UnprocessableInput(str(error)) from None
    return tuple(labels)
