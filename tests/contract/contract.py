"""The structural contract, and what the behaviour reference adds to it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

__all__ = ["JSON_RPC_OPERATIONS", "OPERATIONS", "SCHEMAS", "Operation", "operation", "problems", "resolve"]

FILE = Path(__file__).parent / "agent-server.contract.json"

JSON_RPC = {"A2A", "MCP"}
"""Tags of operations that have errors, and most of their form, from other protocols: `tests/a2a` and `tests/mcp` are about these."""

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")

formats = FormatChecker(formats=["uuid"])


@formats.checks("date-time")  # type: ignore[untyped-decorator]
def _is_timestamp(value: object) -> bool:
    """ISO 8601 with microseconds and an offset, never ``Z`` (reference 1.1)."""
    return not isinstance(value, str) or TIMESTAMP.fullmatch(value) is not None


NULLABLE = {
    "Assistant": ["description"],
    "Cron": ["thread_id", "end_time"],
    "GraphSchema": ["input_schema", "output_schema", "state_schema", "config_schema", "context_schema"],
    "GraphSchemaNoId": ["input_schema", "output_schema", "state_schema", "config_schema", "context_schema"],
    "Interrupt": ["response_schema"],
    "Run": ["langsmith_session_name"],
    "Thread": ["values", "error"],
    "ThreadState": ["metadata", "created_at", "checkpoint", "parent_checkpoint"],
}
"""Properties that the reference documents as null at times (2.5, 3.1, 4.1, 5.3, 12), by schema."""

ADDED_STATUSES: dict[str, set[int]] = {
    "GET /ok": {422},
    "POST /assistants": {400},
    "PATCH /assistants/{assistant_id}": {400},
    "DELETE /assistants/{assistant_id}": {204},
    "GET /assistants/{assistant_id}": {422},
    "GET /assistants/{assistant_id}/subgraphs/{namespace}": {404},
    "POST /assistants/{assistant_id}/versions": {404},
    "POST /threads": {201, 400},
    "POST /threads/search": {400},
    "DELETE /threads/{thread_id}": {204},
    "PATCH /threads/{thread_id}": {204},
    "GET /threads/{thread_id}/state": {404},
    "POST /threads/{thread_id}/state": {400, 404, 409},
    "GET /threads/{thread_id}/state/{checkpoint_id}": {404},
    "POST /threads/{thread_id}/state/checkpoint": {404},
    "GET /threads/{thread_id}/history": {404},
    "POST /threads/{thread_id}/history": {404},
    "GET /threads/{thread_id}/runs": {400},
    "POST /threads/{thread_id}/runs": {400},
    "POST /threads/{thread_id}/runs/stream": {400},
    "POST /threads/{thread_id}/runs/wait": {400},
    "DELETE /threads/{thread_id}/runs/{run_id}": {204},
    "POST /threads/{thread_id}/runs/{run_id}/cancel": {202},
    "POST /threads/{thread_id}/commands": {422},
    "POST /threads/{thread_id}/stream/events": {422},
    "POST /runs": {400},
    "POST /runs/stream": {400},
    "POST /runs/wait": {400},
    "POST /runs/batch": {400},
    "POST /runs/crons": {400},
    "POST /threads/{thread_id}/runs/crons": {400},
    "PATCH /runs/crons/{cron_id}": {400},
    "DELETE /runs/crons/{cron_id}": {204},
    "PUT /store/items": {400},
    "DELETE /store/items": {400},
    "POST /store/items/search": {400},
    "POST /store/namespaces": {400},
}
"""Statuses that the reference documents (1.2, 2.3, 3.2, 4.2, 5.2, 7, 10, 12) and the contract does not list."""


@dataclass(frozen=True)
class Operation:
    """One operation of the contract."""

    method: str
    path: str
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def statuses(self) -> set[int]:
        return {int(status) for status in self.spec["responses"]} | ADDED_STATUSES.get(self.name, set()) | {413}

    @property
    def body_schema(self) -> dict[str, Any] | None:
        """The schema of the JSON body; None for an operation without one."""
        content = self.spec.get("requestBody", {}).get("content", {})
        return content["application/json"]["schema"] if content else BODIES.get(self.name)

    @property
    def parameters(self) -> Sequence[Mapping[str, Any]]:
        return self.spec.get("parameters") or ()

    def answer_schema(self, status: int, media_type: str) -> Any:
        """The schema of an answer; True, which everything fits, when the contract says nothing of it."""
        if status >= 400:
            return {"$ref": "#/components/schemas/ErrorResponse"}
        if self.name in ANSWERS:
            return ANSWERS[self.name]
        return self.spec["responses"].get(str(status), {}).get("content", {}).get(media_type, {}).get("schema") or True


def problems(instance: Any, schema: Any) -> list[str]:
    """What is wrong with `instance`, each with its path; empty when it fits `schema`."""
    checked = {"allOf": [schema], "components": {"schemas": SCHEMAS}}
    found = Draft202012Validator(checked, format_checker=formats).iter_errors(instance)
    return [f"{'.'.join(map(str, error.absolute_path)) or 'the body'}: {error.message[:300]}" for error in found]


def resolve(schema: Any) -> Any:
    """`schema`, or what its ``$ref`` names, with an ``allOf`` flattened into one object schema."""
    while "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rsplit("/", 1)[1]]
    if "allOf" in schema:
        parts = [resolve(part) for part in schema["allOf"]]
        return {
            "type": "object",
            "properties": {name: each for part in parts for name, each in part.get("properties", {}).items()},
            "required": [name for part in parts for name in part.get("required", ())],
        }
    return schema


def operation(name: str) -> Operation:
    """The operation called `name`, e.g. ``GET /threads/{thread_id}``."""
    return OPERATIONS[name]


def _nullable(schema: Any) -> Any:
    return {"anyOf": [schema, {"type": "null"}]}


def _amended(schemas: dict[str, Any]) -> dict[str, Any]:
    """The contract's schemas with the nulls and free values of the reference."""
    schemas = deepcopy(schemas)
    for name, properties in NULLABLE.items():
        for each in properties:
            present = schemas[name]["properties"].get(each)
            schemas[name]["properties"][each] = True if present is None else _nullable(present)
    # What a graph asks and what a task wrote may be any JSON (6.6, 4.1); a superstep takes the values of a state update (3.3).
    schemas["Interrupt"]["properties"]["value"] = True
    schemas["ThreadSuperstepUpdate"]["properties"]["values"] = schemas["ThreadStateUpdate"]["properties"]["values"]
    task = schemas["ThreadState"]["properties"]["tasks"]["items"]["properties"]
    for each in task:
        task[each] = _nullable(task[each])
    return schemas


def _references_valid(node: Any) -> Any:
    """`node` with ``$ref`` as the only key of its object: siblings of a reference say nothing that it does not."""
    if isinstance(node, dict):
        return (
            {"$ref": node["$ref"]} if "$ref" in node else {key: _references_valid(each) for key, each in node.items()}
        )
    return [_references_valid(each) for each in node] if isinstance(node, list) else node


_document = _references_valid(json.loads(FILE.read_text()))

SCHEMAS: dict[str, Any] = _amended(_document["components"]["schemas"])

OPERATIONS: dict[str, Operation] = {
    each.name: each
    for path, methods in _document["paths"].items()
    for method, spec in methods.items()
    if not JSON_RPC & set(spec["tags"])
    for each in [Operation(method.upper(), path, spec)]
}

JSON_RPC_OPERATIONS = {
    f"{method.upper()} {path}"
    for path, methods in _document["paths"].items()
    for method, spec in methods.items()
    if JSON_RPC & set(spec["tags"])
}

BODIES: dict[str, dict[str, Any]] = {
    "POST /assistants/{assistant_id}/versions": {"$ref": "#/components/schemas/AssistantVersionsSearchRequest"},
    "POST /assistants/{assistant_id}/latest": {
        "allOf": [{"$ref": "#/components/schemas/AssistantVersionChange"}, {"required": ["version"]}]
    },
}
"""Bodies that the reference documents (2.3) where the contract has none."""

_RUN = {"$ref": "#/components/schemas/Run"}

_VERSION = {
    **SCHEMAS["Assistant"],
    "required": [name for name in SCHEMAS["Assistant"]["required"] if name != "updated_at"],
}

ANSWERS: dict[str, Any] = {
    "POST /store/namespaces": {
        "type": "object",
        "required": ["namespaces"],
        "properties": {"namespaces": {"$ref": "#/components/schemas/ListNamespaceResponse"}},
    },
    "GET /store/items": _nullable({"$ref": "#/components/schemas/Item"}),
    "POST /assistants/{assistant_id}/versions": {"type": "array", "items": _VERSION},
    "POST /runs": _RUN,
    "POST /runs/batch": {"type": "array", "items": _RUN},
    "POST /threads/{thread_id}/state": {
        "type": "object",
        "required": ["checkpoint", "checkpoint_id", "configurable"],
        "properties": {"checkpoint": {"$ref": "#/components/schemas/CheckpointConfig"}},
    },
}
"""Answers that the reference documents more closely, or otherwise (2.3, 10, 5.1, 4.2)."""
