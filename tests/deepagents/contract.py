"""The structural contract of the Managed Deep Agents API: every answer that a test gets is checked against it."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

__all__ = ["check", "checked"]

FILE = Path(__file__).parent.parent / "contract" / "managed-deep-agents.contract.json"

CONTRACT: dict[str, Any] = json.loads(FILE.read_text())

BASE = re.compile(r"/v1/(deepagents|fleet)(?=/)")

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")

BEYOND = re.compile(
    r"\w+ /agents/[^/]+/revisions|POST /threads/count|\w+ /threads/[^/]+/(state|history|runs/(?!stream$))|GET /threads/[^/]+/runs"
)
"""Routes that the contract does not have."""

EVERYWHERE = {
    "401": {"$ref": "#/components/responses/Unauthorized"},
    "403": {"$ref": "#/components/responses/Forbidden"},
    "503": {"$ref": "#/components/responses/ServiceUnavailable"},
}
"""What every operation may answer, although the contract does not say so of each (reference 3)."""

STARTING = re.compile(r"/threads/[^/]+/runs(/stream)?")

DECIDED = {
    "409": {"$ref": "#/components/responses/Conflict"},
    "422": {"$ref": "#/components/responses/UnprocessableEntity"},
}
"""What starting a run may answer as well: decisions, and strategies for threads that are busy, are not described at all."""

formats = FormatChecker(formats=["uuid"])


@formats.checks("date-time")  # type: ignore[untyped-decorator]
def _is_timestamp(value: object) -> bool:
    return not isinstance(value, str) or TIMESTAMP.fullmatch(value) is not None


def checked(response: httpx.Response) -> httpx.Response:
    """The response, if the contract has one like it. Fails for anything else."""
    check(response, response.content)
    return response


def check(response: httpx.Response, content: bytes) -> None:
    """`checked` for a body that was read already."""
    path = BASE.sub("", response.request.url.path, count=1)
    if path == response.request.url.path or BEYOND.match(f"{response.request.method} {path}"):
        return
    operation = _operation(response.request.method, path)
    where = (response.request.method, path, response.status_code, content)
    assert operation is not None, where
    further = DECIDED if STARTING.fullmatch(path) else {}
    described = {**EVERYWHERE, **further, **operation["responses"]}.get(str(response.status_code))
    assert described is not None, where
    if "$ref" in described:
        described = CONTRACT["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
    if "content" not in described:
        assert content == b"", where
        return
    if "text/event-stream" in described["content"]:
        assert response.headers["content-type"].startswith("text/event-stream"), where
        return
    assert response.headers["content-type"] == "application/json", where
    schema = _closed(described["content"]["application/json"]["schema"])
    problems = list(Draft202012Validator(schema, format_checker=formats).iter_errors(json.loads(content)))
    assert not problems, (where, problems)


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for template, operations in CONTRACT["paths"].items():
        if re.fullmatch(re.sub(r"{[^}]*}", "[^/]+", template), path) and method.lower() in operations:
            found: dict[str, Any] = operations[method.lower()]
            return found
    return None


def _closed(schema: Any) -> Any:
    """`schema` with its references resolved; objects have no properties but those that it names."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _closed(CONTRACT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    if "allOf" in schema:
        properties = {name: part for each in schema["allOf"] for name, part in _closed(each)["properties"].items()}
        return {"type": "object", "properties": properties, "additionalProperties": False}
    closed = {key: _closed(part) for key, part in deepcopy(schema).items() if key != "properties"}
    if "properties" in schema:
        closed["properties"] = {name: _closed(part) for name, part in schema["properties"].items()}
        closed.setdefault("additionalProperties", False)
    return closed
