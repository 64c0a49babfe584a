"""The API reference as one page: no scripts, nothing loaded from elsewhere, so that it works without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

__all__ = ["reference_page"]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #3b6fd4 }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1.5rem }
nav ul { columns: 3 12rem; padding-left: 1.2rem } a { color: var(--accent) }
h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem }
details.operation { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .4rem .8rem }
summary { cursor: pointer } code, pre { font: 13px/1.45 ui-monospace, monospace }
pre { background: var(--soft); border-radius: 6px; overflow: auto; padding: .8rem }
.method { display: inline-block; font-weight: 700; min-width: 4.5rem } .what { opacity: .75; margin-left: .8rem }
table { border-collapse: collapse } td, th { border: 1px solid var(--line); padding: .2rem .6rem; text-align: left }
"""

_METHODS = ("get", "put", "post", "patch", "delete")


def reference_page(document: dict[str, Any]) -> str:
    """The OpenAPI `document` as HTML."""
    title = escape(document["info"]["title"])
    groups = _groups(document)
    contents = "".join(f'<li><a href="#{escape(tag, quote=True)}">{escape(tag)}</a></li>' for tag in groups)
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title} API</title><style>{_STYLE}</style></head><body>",
            f"<header><h1>{title} API</h1><p>{escape(document['info'].get('description', ''))}</p>",
            f'<p>Version {escape(document["info"]["version"])} · <a href="openapi.json">openapi.json</a></p></header>',
            f"<nav><ul>{contents}</ul></nav><main>",
            *(
                f'<section id="{escape(tag, quote=True)}"><h2>{escape(tag)}</h2>{"".join(operations)}</section>'
                for tag, operations in groups.items()
            ),
            *_schemas(document),
            "</main></body></html>",
        ]
    )


def _groups(document: dict[str, Any]) -> dict[str, list[str]]:
    """The operations by their first tag."""
    groups: dict[str, list[str]] = {}
    for path, operations in document.get("paths", {}).items():
        for method in _METHODS:
            if method in operations:
                operation = operations[method]
                tag = next(iter(operation.get("tags", ())), "Other")
                groups.setdefault(tag, []).append(_operation(method, path, operation))
    return groups


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return "".join(
        [
            '<details class="operation"><summary>',
            f'<span class="method">{method.upper()}</span><code>{escape(path)}</code>',
            f'<span class="what">{escape(operation.get("summary", ""))}</span></summary>',
            f"<p>{escape(operation['description'])}</p>" if operation.get("description") else "",
            _parameters(operation.get("parameters", ())),
            f"<h4>Request body</h4>{_json(body)}" if body else "",
            *_responses(operation.get("responses", {})),
            "</details>",
        ]
    )


def _parameters(parameters: Any) -> str:
    if not parameters:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}</td>"
        f"<td>{'required' if parameter.get('required') else 'optional'}</td>"
        f"<td><code>{escape(json.dumps(parameter.get('schema', {})))}</code></td></tr>"
        for parameter in parameters
        if "name" in parameter  # a custom app's may be a reference
    )
    return f"<h4>Parameters</h4><table>{rows}</table>"


def _responses(responses: dict[str, Any]) -> Iterator[str]:
    for status, response in responses.items():
        yield f"<h4>Response {escape(status)}</h4>"
        if response.get("description"):
            yield f"<p>{escape(response['description'])}</p>"
        for kind, content in response.get("content", {}).items():
            yield f"<p><code>{escape(kind)}</code></p>"
            if content.get("schema"):
                yield _json(content["schema"])


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    schemas = document.get("components", {}).get("schemas", {})
    if schemas:
        yield '<section id="schemas"><h2>Schemas</h2>'
        for name, schema in schemas.items():
            yield f'<details class="operation"><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>'
        yield "</section>"


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
