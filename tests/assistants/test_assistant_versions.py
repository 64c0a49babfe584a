"""Assistants over HTTP: creating, versions, deleting (spec 2.1, 2.3)."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
from langgraph_sdk.client import LangGraphClient


async def create(http: httpx.AsyncClient, **body: Any) -> Any:
    answer = await http.post("/assistants", json={"graph_id": "echo", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def patch(http: httpx.AsyncClient, assistant: Any, **body: Any) -> Any:
    answer = await http.patch(f"/assistants/{assistant['assistant_id']}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_new_assistant_has_every_field(http: httpx.AsyncClient) -> None:
    assistant = await create(http)
    assert UUID(assistant["assistant_id"]).version == 4
    assert assistant == {
        "assistant_id": assistant["assistant_id"],
        "graph_id": "echo",
        "config": {},
        "context": {},
        "metadata": {},
        "name": "Untitled",
        "description": None,
        "created_at": assistant["created_at"],
        "updated_at": assistant["created_at"],
        "version": 1,
    }
    assert (await http.get(f"/assistants/{assistant['assistant_id']}")).json() == assistant


async def test_an_id_is_taken_once(http: httpx.AsyncClient) -> None:
    assistant = await create(http, assistant_id=str(uuid4()), name="first")
    body = {"graph_id": "chat", "assistant_id": assistant["assistant_id"].upper(), "name": "second"}
    refused = await http.post("/assistants", json=body)
    assert (refused.status_code, assistant["assistant_id"] in refused.json()["detail"]) == (409, True)
    assert (await http.post("/assistants", json={**body, "if_exists": "do_nothing"})).json() == assistant
    versions = await http.post(f"/assistants/{assistant['assistant_id']}/versions", json={})
    assert len(versions.json()) == 1


async def test_config_and_context_are_kept_in_step(http: httpx.AsyncClient) -> None:
    by_config = await create(http, config={"configurable": {"a": 1}, "tags": ["t"], "recursion_limit": 7})
    assert by_config["context"] == {"a": 1}
    assert by_config["config"] == {"configurable": {"a": 1}, "tags": ["t"], "recursion_limit": 7}
    by_context = await create(http, context={"a": 1})
    assert (by_context["config"], by_context["context"]) == ({"configurable": {"a": 1}}, {"a": 1})
    both = {"graph_id": "echo", "config": {"configurable": {"a": 1}}, "context": {"a": 1}}
    assert (await http.post("/assistants", json=both)).status_code == 400
    assert (await create(http, config={"tags": ["t"]}, context={"b": 2}))["config"] == {
        "tags": ["t"],
        "configurable": {"b": 2},
    }


async def test_patching_config_and_context(http: httpx.AsyncClient) -> None:
    assistant = await create(http, config={"configurable": {"a": 1}, "tags": ["t"]})

    async def patched(**body: Any) -> tuple[Any, Any]:
        answer = await patch(http, assistant, **body)
        return answer["config"], answer["context"]

    unchanged = ({"configurable": {"a": 1}, "tags": ["t"]}, {"a": 1})
    assert await patched() == unchanged
    assert await patched(config={}) == unchanged
    assert await patched(context={"b": 2}) == ({"configurable": {"b": 2}, "tags": ["t"]}, {"b": 2})
    assert await patched(config={"configurable": {"c": 3}}) == ({"configurable": {"c": 3}}, {"c": 3})
    assert await patched(config={"recursion_limit": 5}) == ({"recursion_limit": 5}, {"c": 3})
    assert await patched(context={}) == ({"recursion_limit": 5}, {})
    url = f"/assistants/{assistant['assistant_id']}"
    both = await http.patch(url, json={"config": {"configurable": {"a": 1}}, "context": {"b": 1}})
    assert both.status_code == 400
    assert (await http.get(url)).json()["version"] == 7


async def test_every_patch_is_a_version(http: httpx.AsyncClient) -> None:
    first = await create(http, name="one", description="d", metadata={"a": 1, "deep": {"x": 1}})
    second = await patch(http, first, metadata={"b": 2, "deep": {"y": 1}}, name="two", graph_id="chat")
    assert second == {
        **first,
        "version": 2,
        "name": "two",
        "graph_id": "chat",
        "metadata": {"a": 1, "b": 2, "deep": {"y": 1}},
        "updated_at": second["updated_at"],
    }
    assert second["updated_at"] > first["updated_at"]
    third = await patch(http, first)
    assert (third["version"], third["name"], third["description"]) == (3, "two", "d")
    versions = (await http.post(f"/assistants/{first['assistant_id']}/versions", json={})).json()
    assert [(v["version"], v["name"], v["graph_id"]) for v in versions] == [
        (3, "two", "chat"),
        (2, "two", "chat"),
        (1, "one", "echo"),
    ]
    assert all(set(v) == set(first) - {"updated_at"} for v in versions)


async def test_an_earlier_version_can_be_made_current(http: httpx.AsyncClient) -> None:
    first = await create(http, name="one", context={"a": 1}, metadata={"m": 1})
    await patch(http, first, name="two", context={"a": 2}, graph_id="chat", description="new", metadata={"m": 2})
    url = f"/assistants/{first['assistant_id']}"
    restored = (await http.post(f"{url}/latest", json={"version": 1})).json()
    assert restored == {**first, "updated_at": restored["updated_at"]}
    assert restored["updated_at"] > first["updated_at"]
    assert (await http.get(url)).json() == restored
    third = await patch(http, first, description="third")
    assert (third["version"], third["name"], third["context"], third["graph_id"]) == (3, "one", {"a": 1}, "echo")


async def test_the_version_may_be_given_in_the_query(http: httpx.AsyncClient) -> None:
    first = await create(http, name="one")
    await patch(http, first, name="two")
    url = f"/assistants/{first['assistant_id']}/latest"
    assert (await http.post(url, params={"version": 1})).json()["name"] == "one"
    assert (await http.post(url, params={"version": 2}, json={})).json()["name"] == "two"
    malformed: list[tuple[dict[str, str], Any]] = [
        ({"version": "1"}, {"version": 2}),
        ({"version": "x"}, None),
        ({}, {}),
        ({}, {"version": "1"}),
    ]
    for query, body in malformed:
        assert (await http.post(url, params=query, json=body)).status_code == 422
    assert (await http.post(url)).status_code == 422
    assert (await http.post(url, json={"version": 9})).status_code == 404


async def test_versions_are_paged_and_filtered(http: httpx.AsyncClient) -> None:
    assistant = await create(http, metadata={"n": 1})
    for n in (2, 3):
        await patch(http, assistant, metadata={"n": n})
    url = f"/assistants/{assistant['assistant_id']}/versions"

    async def listed(**body: Any) -> Any:
        answer = await http.post(url, json=body)
        return [v["version"] for v in answer.json()] if answer.status_code == 200 else answer.status_code

    assert await listed(limit=2) == [3, 2]
    assert await listed(limit=2, offset=2) == [1]
    assert await listed(offset=3) == []
    assert await listed(metadata={"n": 2}) == [2]
    assert await listed(metadata={"n": 9}) == 404
    assert (await http.post(f"/assistants/{uuid4()}/versions", json={})).status_code == 404


async def test_reserved_keys_are_dropped(http: httpx.AsyncClient) -> None:
    assistant = await create(
        http,
        config={
            "configurable": {"langgraph_auth_user": {"identity": "root"}, "__pregel_node_finished": 1, "mine": 1},
            "metadata": {"run_id": "x", "kept": 1},
        },
        metadata={"assistant_id": "x", "thread_id": "y", "kept": 1},
    )
    assert assistant["config"] == {"configurable": {"mine": 1}, "metadata": {"kept": 1}}
    assert assistant["context"] == {"mine": 1}
    assert assistant["metadata"] == {"kept": 1}
    assert (await patch(http, assistant, context={"langgraph_request_id": "x", "own": 1}))["context"] == {"own": 1}


async def test_nul_in_keys_is_refused(http: httpx.AsyncClient) -> None:
    for key in ("a\0b", "a\\u0000b"):
        for part in ({"config": {"configurable": {"deep": [{key: 1}]}}}, {"context": {"deep": {key: 1}}}):
            answer = await http.post("/assistants", json={"graph_id": "echo", **part})
            assert answer.status_code == 422


MALFORMED: list[Any] = [
    {},
    {"graph_id": 1},
    {"graph_id": "echo", "assistant_id": "x"},
    {"graph_id": "echo", "metadata": []},
    {"graph_id": "echo", "if_exists": "update"},
    {"graph_id": "echo", "name": 1},
    {"graph_id": "echo", "config": {"configurable": 5}},
]


async def test_bodies_are_checked(http: httpx.AsyncClient) -> None:
    for body in MALFORMED:
        assert (await http.post("/assistants", json=body)).status_code == 422


async def test_unknown_graphs_and_assistants(http: httpx.AsyncClient) -> None:
    answer = await http.post("/assistants", json={"graph_id": "nobody"})
    assert (answer.status_code, "nobody" in answer.json()["detail"]) == (404, True)
    assistant = await create(http)
    url = f"/assistants/{assistant['assistant_id']}"
    assert (await http.patch(url, json={"graph_id": "nobody"})).status_code == 404
    assert (await http.get(url)).json()["version"] == 1
    for method, path, body in [
        ("GET", "", None),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("POST", "/latest", {"version": 1}),
        ("GET", "/graph", None),
        ("GET", "/schemas", None),
        ("GET", "/subgraphs", None),
    ]:
        assert (await http.request(method, f"/assistants/{uuid4()}{path}", json=body)).status_code == 404
        assert (await http.request(method, f"/assistants/nonsense{path}", json=body)).status_code == 422


async def test_deleting_cancels_the_runs(http: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    assistant = await create(http, graph_id="sleeper")
    thread_id = (await sdk.threads.create())["thread_id"]
    run = await sdk.runs.create(thread_id, assistant["assistant_id"], input={"n": 60})
    assert (await http.delete(f"/assistants/{assistant['assistant_id']}")).status_code == 204
    assert (await http.get(f"/assistants/{assistant['assistant_id']}")).status_code == 404
    assert (await sdk.runs.get(thread_id, run["run_id"]))["status"] == "interrupted"
    again = await http.post(f"/threads/{thread_id}/runs", json={"assistant_id": assistant["assistant_id"]})
    assert again.status_code == 404


async def test_deleting_takes_the_threads_along_on_request(http: httpx.AsyncClient, sdk: LangGraphClient) -> None:
    assistant = await create(http)
    own, other, moved = [(await sdk.threads.create())["thread_id"] for _ in range(3)]
    for thread_id, ran in [
        (own, [assistant["assistant_id"]]),
        (other, ["echo"]),
        (moved, [assistant["assistant_id"], "echo"]),
    ]:
        for assistant_id in ran:
            await sdk.runs.wait(thread_id, assistant_id, input={"x": "a"})
    await sdk.assistants.delete(assistant["assistant_id"], delete_threads=True)
    assert {t["thread_id"] for t in await sdk.threads.search()} == {other, moved}
    answer = await http.delete(f"/assistants/{uuid4()}", params={"delete_threads": "maybe"})
    assert answer.status_code == 422
