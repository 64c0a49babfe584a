"""Requests that break the contract are refused with a documented status and a reason, and never break the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.contract.cases import CASES, Case, World, filled, make_world
from tests.contract.conftest import MAX_BODY_BYTES
from tests.contract.contract import OPERATIONS, Operation, operation
from tests.contract.exchange import assert_refused, path_of, send
from tests.contract.mutations import bad_bodies, hostile_bodies

PROTOCOL = {"POST /threads/{thread_id}/commands", "POST /threads/{thread_id}/stream/events"}
"""Refuse in their own way, and accept threads that are not there (reference 13): `tests/protocol` has what is wrong there."""

WITH_BODY = [name for name, each in OPERATIONS.items() if each.body_schema is not None and name not in PROTOCOL]
WITH_PATH_ID = [
    (name, parameter["name"])
    for name, each in OPERATIONS.items()
    for parameter in each.parameters
    if parameter["in"] == "path" and parameter["name"] != "namespace"
]
WITH_QUERY = [
    (name, parameter["name"])
    for name, each in OPERATIONS.items()
    for parameter in each.parameters
    if parameter["in"] == "query"
    and {parameter["schema"].get("type")} & {"integer", "boolean"} | set(parameter["schema"]) & {"enum"}
]

SAME_BODY = {
    "POST /runs",
    "POST /runs/wait",
    "POST /runs/stream",
    "POST /runs/batch",
    "POST /threads/{thread_id}/runs",
    "POST /threads/{thread_id}/runs/stream",
}
"""Take the body of `POST /threads/{thread_id}/runs/wait`, which also waits for what comes of it."""

MALFORMED = {
    "nothing": b"",
    "spaces": b"  \n ",
    "cut off": b'{"a": ',
    "not JSON": b"assistant_id=echo",
    "single quotes": b"{'a': 1}",
    "not UTF-8": b'{"metadata": {"a": "\xff\xfe"}}',
    "a half surrogate as bytes": b'{"metadata": {"a": "\xed\xa0\x80"}}',
    "two documents": b"{} {}",
    "very deep": b'{"metadata":' * 50_000,
    "deep arrays": b"[" * 100_000,
    "null": b"null",
    "a number": b"7",
    "a text": b'"text"',
}

NOT_UUIDS = ["not-a-uuid", "00000000-0000-4000-8000-00000000000", "%00", "a%20b", "1;drop", "x" * 2000, "%F0%9F%98%80"]


def names(parameters: list[tuple[str, str]]) -> list[object]:
    return [pytest.param(*each, id="-".join(each).replace("/", ".")) for each in parameters]


def ids_of(name: str) -> str:
    return name.replace("/", ".")


@pytest.mark.parametrize("name", WITH_BODY, ids=ids_of)
def test_body_with_a_wrong_property(name: str, http: httpx.Client, world: World) -> None:
    each = operation(name)
    accepted = []
    for what, body in bad_bodies(each.body_schema, filled(CASES[name][0].body, world)):
        response = _send_body(http, each, world, json.dumps(body).encode())
        if response.status_code < 400:
            accepted.append((what, response.status_code))
            continue
        assert_refused(each, response, 400, 422)
    assert accepted == []


@pytest.mark.parametrize("name", WITH_BODY, ids=ids_of)
@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_malformed_body(name: str, content: bytes, http: httpx.Client, world: World) -> None:
    assert_refused(operation(name), _send_body(http, operation(name), world, content), 422)


@pytest.mark.parametrize("name", WITH_BODY, ids=ids_of)
def test_body_beyond_the_limit(name: str, http: httpx.Client, world: World) -> None:
    content = b'{"metadata": {"a": "' + b"x" * MAX_BODY_BYTES + b'"}}'
    assert_refused(operation(name), _send_body(http, operation(name), world, content), 413)


def test_body_beyond_the_limit_without_a_declared_length(http: httpx.Client) -> None:
    def parts() -> Iterator[bytes]:
        yield b'{"metadata": {"a": "'
        for _ in range(20):
            yield b"x" * (MAX_BODY_BYTES // 10)

    response = http.post("/threads", content=parts())
    assert_refused(operation("POST /threads"), response, 413)


@pytest.mark.parametrize("name", [name for name in WITH_BODY if name not in SAME_BODY], ids=ids_of)
def test_hostile_values_break_nothing(name: str, http: httpx.Client) -> None:
    each, world = operation(name), make_world(http)
    for what, body in hostile_bodies(each.body_schema, filled(CASES[name][0].body, world)):
        response = _send_body(http, each, world, json.dumps(body).encode())
        assert response.status_code in each.statuses, (what, response.status_code, response.text[:300])
        if response.status_code >= 400:
            assert_refused(each, response)
    assert http.get("/ok").json()["ok"] is True


@pytest.mark.parametrize(("name", "parameter"), names(WITH_PATH_ID))
def test_path_id_that_is_not_a_uuid(name: str, parameter: str, http: httpx.Client, world: World) -> None:
    each, case = operation(name), CASES[name][0]
    for text in NOT_UUIDS:
        response = _send_to(http, each, case, world, {parameter: text})
        assert_refused(each, response, 422)


@pytest.mark.parametrize(("name", "parameter"), names([each for each in WITH_PATH_ID if each[0] not in PROTOCOL]))
def test_path_id_of_nothing(name: str, parameter: str, http: httpx.Client, world: World) -> None:
    each, case = operation(name), CASES[name][0]
    response = _send_to(http, each, case, world, {parameter: str(uuid4())})
    if name == "POST /threads/{thread_id}/copy":
        assert_refused(each, response, 409)  # reference 3.2
    elif name.endswith("/join"):
        assert response.json() == {"__error__": {"error": "HTTPException", "message": "404: Run not found"}}  # 6.4
    elif name == "GET /threads/{thread_id}/runs/{run_id}/stream":
        assert response.text.startswith('event: error\r\ndata: {"error":"HTTPException","message":"404: ')  # 8.5
    elif name == "GET /threads/{thread_id}/state/{checkpoint_id}" and parameter == "checkpoint_id":
        assert response.json()["values"] == {}  # 4.2
    elif (case.body or {}).get("if_not_exists") == "create":
        assert response.status_code == 200
    else:
        assert_refused(each, response, 404)


@pytest.mark.parametrize(("name", "parameter"), names(WITH_QUERY))
def test_query_of_a_wrong_type(name: str, parameter: str, http: httpx.Client, world: World) -> None:
    each = operation(name)
    kind = next(each for each in operation(name).parameters if each["name"] == parameter)["schema"]
    for text in ("maybe", "", "1.5", "\x00", "9" * 400, "-1"):
        case = Case(CASES[name][0].body, {**CASES[name][0].query, parameter: text})
        response = send(http, each, case, world)
        assert response.status_code in each.statuses, (text, response.text)
        if response.status_code >= 400:
            assert_refused(each, response)
        elif text == "maybe" and name != "GET /metrics":
            assert kind.get("type") == "boolean", f"{text!r} was taken for a {kind}"


def _send_body(http: httpx.Client, each: Operation, world: World, content: bytes) -> httpx.Response:
    case = CASES[each.name][0]
    path = path_of(each, world, case.path)
    return http.request(each.method, path, params=filled(case.query, world) or None, content=content)


def _send_to(http: httpx.Client, each: Operation, case: Case, world: World, path: dict[str, str]) -> httpx.Response:
    return send(http, each, Case(case.body, case.query, path, case.headers), world)
