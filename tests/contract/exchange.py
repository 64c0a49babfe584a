"""Sending a request of the contract, and judging the answer by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from tests.contract.cases import Case, World, filled
from tests.contract.contract import Operation, problems

__all__ = ["assert_refused", "path_of", "send", "verified"]


def path_of(operation: Operation, world: World, given: Mapping[str, str]) -> str:
    """The operation's path with its parameters filled in from `given`, else from the world."""
    parameters = {each["name"]: world[each["name"]] for each in operation.parameters if each["in"] == "path"}
    return operation.path.format(**{**parameters, **filled(given, world)})


def send(http: httpx.Client, operation: Operation, case: Case, world: World) -> httpx.Response:
    """The answer to `case`; of an endless stream only the head."""
    request = http.build_request(
        operation.method,
        path_of(operation, world, case.path),
        params=filled(case.query, world) or None,
        json=filled(case.body, world),
        headers=dict(case.headers),
    )
    if case.body is None:
        request = http.build_request(request.method, request.url, headers=dict(case.headers))
    response = http.send(request, stream=case.endless)
    response.close()
    return response


def verified(operation: Operation, response: httpx.Response, *, endless: bool = False) -> None:
    """Fail unless the contract allows the status, and the answer has the form that it gives for it."""
    told = f"{operation.name} -> {response.status_code} {'' if endless else response.text[:500]}"
    assert response.status_code in operation.statuses, told
    if response.status_code in (202, 204):
        assert response.content == b"", told
        return
    media_type = response.headers["content-type"].partition(";")[0]
    documented = operation.spec["responses"].get(str(response.status_code), {}).get("content", {})
    assert media_type in (documented or {"application/json"}), f"{told}: {media_type}"
    if media_type == "application/json":
        found = problems(response.json(), operation.answer_schema(response.status_code, media_type))
        assert not found, f"{told}: {found}"


def assert_refused(operation: Operation, response: httpx.Response, *statuses: int) -> None:
    """Fail unless the request was refused with a documented status (one of `statuses`) and says what was wrong."""
    told = f"{operation.name} {response.request.url} -> {response.status_code} {response.text[:300]}"
    assert response.status_code in (statuses or operation.statuses), told
    verified(operation, response)
    body: Any = response.json()
    assert list(body) == ["detail"], told
    assert body["detail"].strip(), told
