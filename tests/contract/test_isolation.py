"""Nobody sees, counts, searches, streams, joins, cancels, resumes, changes, copies, prunes or deletes what is somebody else's.

Each case of the contract is sent by a stranger into the world of another user, once where the project's handlers keep users
apart, and once where API keys keep workspaces apart. Every route that the server has needs a verdict here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette

from tests.auth.given import configured
from tests.auth.owners import owners
from tests.conftest import project_config
from tests.contract.cases import CASES, NEVER, THREAD_RUN, Case, World, filled, make_world
from tests.contract.contract import OPERATIONS, Operation
from tests.contract.exchange import path_of
from tests.live import LiveServer, listening
from waystation.app import create_app
from waystation.auth import key_queries
from waystation.auth.keys import KeyOwner, new_key
from waystation.http.authentication import OPEN_PATHS
from waystation.timestamps import now_us

SECRET = "the-secret-of-the-owner"

GONE, CLASH, OWN, NOTHING_OF_IT = "gone", "clash", "own", "nothing of it"
REFUSED, EMPTY = "refused", "empty"

VERDICTS: dict[str, str] = {
    "POST /assistants": OWN,
    "POST /assistants/search": NOTHING_OF_IT,
    "POST /assistants/count": NOTHING_OF_IT,
    "GET /assistants/{assistant_id}": GONE,
    "DELETE /assistants/{assistant_id}": GONE,
    "PATCH /assistants/{assistant_id}": GONE,
    "GET /assistants/{assistant_id}/graph": GONE,
    "GET /assistants/{assistant_id}/subgraphs": GONE,
    "GET /assistants/{assistant_id}/subgraphs/{namespace}": GONE,
    "GET /assistants/{assistant_id}/schemas": GONE,
    "POST /assistants/{assistant_id}/versions": GONE,
    "POST /assistants/{assistant_id}/latest": GONE,
    "POST /threads": OWN,
    "POST /threads/search": NOTHING_OF_IT,
    "POST /threads/count": NOTHING_OF_IT,
    "POST /threads/prune": GONE,
    "GET /threads/{thread_id}/storage": GONE,
    "GET /threads/{thread_id}/state": GONE,
    "POST /threads/{thread_id}/state": GONE,
    "GET /threads/{thread_id}/state/{checkpoint_id}": GONE,
    "POST /threads/{thread_id}/state/checkpoint": GONE,
    "GET /threads/{thread_id}/history": GONE,
    "POST /threads/{thread_id}/history": GONE,
    "POST /threads/{thread_id}/copy": CLASH,
    "GET /threads/{thread_id}": GONE,
    "DELETE /threads/{thread_id}": GONE,
    "PATCH /threads/{thread_id}": GONE,
    "GET /threads/{thread_id}/stream": "an error event",
    "POST /threads/{thread_id}/commands": REFUSED,
    "POST /threads/{thread_id}/stream/events": EMPTY,
    "GET /threads/{thread_id}/runs": GONE,
    "POST /threads/{thread_id}/runs": GONE,
    "POST /threads/{thread_id}/runs/stream": GONE,
    "POST /threads/{thread_id}/runs/wait": GONE,
    "GET /threads/{thread_id}/runs/{run_id}": GONE,
    "DELETE /threads/{thread_id}/runs/{run_id}": GONE,
    "GET /threads/{thread_id}/runs/{run_id}/join": GONE,
    "GET /threads/{thread_id}/runs/{run_id}/stream": "an error event",
    "POST /threads/{thread_id}/runs/{run_id}/cancel": GONE,
    "GET /runs/{run_id}/stream": "an error event",
    "POST /runs/cancel": GONE,
    "POST /runs/stream": OWN,
    "POST /runs/wait": OWN,
    "POST /runs": OWN,
    "POST /runs/batch": OWN,
    "GET /threads/{thread_id}/runs/{run_id}/webhooks": GONE,
    "POST /runs/crons": OWN,
    "POST /threads/{thread_id}/runs/crons": GONE,
    "POST /runs/crons/search": NOTHING_OF_IT,
    "POST /runs/crons/count": NOTHING_OF_IT,
    "GET /runs/crons/{cron_id}": GONE,
    "PATCH /runs/crons/{cron_id}": GONE,
    "DELETE /runs/crons/{cron_id}": GONE,
    "PUT /store/items": OWN,
    "DELETE /store/items": OWN,
    "GET /store/items": NOTHING_OF_IT,
    "POST /store/items/search": NOTHING_OF_IT,
    "POST /store/namespaces": NOTHING_OF_IT,
}
"""What a stranger gets: 404; 409; a success about the stranger's own; the very same as if the other user had nothing; a
stream of nothing but an error; an answer that says that a command failed; a stream of nothing."""

IN_OTHER_PROTOCOLS = {
    "tests/mcp/test_access.py": [
        f"{method} {path}" for method in ("POST", "GET", "DELETE") for path in ("/mcp", "/mcp/")
    ],
    "tests/a2a/test_access.py": [
        "POST /a2a/{assistant_id}",
        "POST /a2a/{assistant_id}/",
        "GET /a2a/{assistant_id}",
        "GET /a2a/{assistant_id}/",
        "GET /a2a/{assistant_id}/.well-known/agent-card.json",
        "GET /a2a/{assistant_id}/.well-known/agent.json",
        "GET /.well-known/agent-card.json",
    ],
}
"""Routes whose answers are not HTTP's, and the tests that keep strangers out of them."""

BEYOND_THE_CONTRACT = {
    f"GET {path}": Operation("GET", path, {"parameters": parameters, "responses": {}, "tags": []})
    for path, parameters in {
        "/runs/{run_id}/stream": [{"name": "run_id", "in": "path"}],
        "/threads/{thread_id}/runs/{run_id}/webhooks": [
            {"name": "thread_id", "in": "path"},
            {"name": "run_id", "in": "path"},
        ],
    }.items()
}
"""Routes of this server that the contract does not have."""

THEIRS = {"thread_id": "$thread_id", "metadata": {"graph_id": "echo"}}

MORE_CASES: dict[str, list[tuple[Case, str]]] = {
    "POST /threads": [
        (Case(THEIRS), CLASH),
        (Case({**THEIRS, "if_exists": "do_nothing"}), CLASH),
    ],
    "POST /assistants": [
        (Case({"graph_id": "echo", "assistant_id": "$assistant_id"}), CLASH),
        (Case({"graph_id": "echo", "assistant_id": "$assistant_id", "if_exists": "do_nothing"}), CLASH),
    ],
    "POST /threads/search": [
        (Case({"metadata": {"secret": SECRET}}), NOTHING_OF_IT),
        (Case({"ids": ["$thread_id"], "extract": {"x": "values.x"}}), NOTHING_OF_IT),
        (Case({"status": "busy", "sort_by": "updated_at"}, world="busy"), NOTHING_OF_IT),
    ],
    "POST /threads/count": [
        (Case({"metadata": {"secret": SECRET}}), NOTHING_OF_IT),
        (Case({"status": "busy"}, world="busy"), NOTHING_OF_IT),
    ],
    "POST /threads/prune": [(Case({"thread_ids": ["$thread_id", "$fresh_thread_id"]}), GONE)],
    "POST /assistants/search": [
        (Case({"metadata": {"secret": SECRET}}), NOTHING_OF_IT),
        (Case({"name": SECRET}), NOTHING_OF_IT),
    ],
    "POST /assistants/count": [(Case({"metadata": {"secret": SECRET}}), NOTHING_OF_IT)],
    "POST /threads/{thread_id}/runs": [
        (Case({"assistant_id": "$assistant_id", "input": {}}), GONE),
        (Case({"assistant_id": "hitl", "command": {"resume": "yes"}}), GONE),
        (Case({"assistant_id": "echo", "multitask_strategy": "rollback"}, world="busy"), GONE),
    ],
    "POST /runs/wait": [(Case({"assistant_id": "$assistant_id", "input": {}}), GONE)],
    "POST /runs": [(Case({"assistant_id": "$assistant_id", "input": {}}), GONE)],
    "POST /runs/stream": [(Case({"assistant_id": "$assistant_id", "input": {}}), GONE)],
    "POST /runs/batch": [
        (Case([{"assistant_id": "echo", "input": {}}, {"assistant_id": "$assistant_id", "input": {}}]), GONE)
    ],
    "GET /threads/{thread_id}/runs/{run_id}/join": [(Case(query={"cancel_on_disconnect": "true"}, world="busy"), GONE)],
    "GET /runs/{run_id}/stream": [
        (Case(world="busy"), "an error event"),
        (Case(query={"cancel_on_disconnect": "true"}, world="busy"), "an error event"),
    ],
    "GET /threads/{thread_id}/runs/{run_id}/webhooks": [(Case(), GONE)],
    "POST /runs/crons": [(Case({"assistant_id": "$assistant_id", "schedule": NEVER}), GONE)],
    "POST /threads/{thread_id}/runs/crons": [
        (Case({"assistant_id": "$assistant_id", "schedule": NEVER}), GONE),
        (Case({"assistant_id": "$assistant_id", "schedule": NEVER}, path={"thread_id": "$fresh_thread_id"}), GONE),
    ],
    "POST /runs/crons/search": [
        (Case({"metadata": {"secret": SECRET}}), NOTHING_OF_IT),
        (Case({"thread_id": "$thread_id"}), NOTHING_OF_IT),
        (Case({"assistant_id": "$assistant_id"}), NOTHING_OF_IT),
    ],
    "POST /runs/crons/count": [
        (Case({"metadata": {"secret": SECRET}}), NOTHING_OF_IT),
        (Case({"thread_id": "$thread_id"}), NOTHING_OF_IT),
        (Case({"assistant_id": "$assistant_id"}), NOTHING_OF_IT),
    ],
    "GET /runs/crons/{cron_id}": [(Case(path={"cron_id": "$thread_cron_id"}), GONE)],
    "DELETE /runs/crons/{cron_id}": [(Case(path={"cron_id": "$thread_cron_id"}), GONE)],
    "GET /threads/{thread_id}/stream": [(Case(world="busy"), "an error event")],
    "POST /store/items/search": [(Case({"namespace_prefix": []}), NOTHING_OF_IT)],
    "DELETE /store/items": [(Case({"namespace": ["world", "$thread_id"], "key": "k"}, status=204), OWN)],
    "PUT /store/items": [
        (Case({"namespace": ["world", "$thread_id"], "key": "k", "value": {"taken": 1}}, status=204), OWN)
    ],
}

EVERY_CASE = [
    pytest.param(name, case, verdict, id=f"{name.replace('/', '.')}-{number}")
    for name, verdict in VERDICTS.items()
    for number, (case, verdict) in enumerate(
        [*((case, verdict) for case in CASES.get(name, ())), *MORE_CASES.get(name, ())]
    )
]


class Parties:
    """Who may be told apart: each client that this makes is a stranger to all others."""

    def __init__(self, server: LiveServer, kind: str) -> None:
        self._server = server
        self._kind = kind

    def stranger(self) -> httpx.Client:
        return httpx.Client(base_url=self._server.url, headers=self._credentials(), timeout=30, verify=False)

    def _credentials(self) -> dict[str, str]:
        name = f"user-{uuid4()}"
        if self._kind == "handlers":
            return {"X-User": name}
        key = new_key()
        # The same user in another workspace is a stranger, too.
        self._server.app.state.server.db.write_blocking(key_queries.create, key, KeyOwner.of(name, "u"), now_us())
        return {"X-Api-Key": key.text}


@pytest.fixture(scope="module", params=["handlers", "api keys"])
def parties(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    settings: dict[str, Any] = {"api_keys": True} if request.param == "api keys" else {"auth": configured(owners())}
    with listening(create_app(project_config(tmp_path_factory.mktemp("isolation"), **settings))) as server:
        yield Parties(server, request.param)


ELSEWHERE = ("/v1/deepagents/", "/v1/fleet/", "/v1/platform/hub/", "/v1/responses", "/v1/models", "/agui/")
"""Routes of deep agents, which `tests.deepagents.test_permission_matrix` asks as every kind of caller, and of OpenAI and AG-UI, which
`tests.responses.test_isolation` does."""


def served_routes(app: Starlette) -> set[str]:
    """Every route of the server that is not open to everybody, and is not tested elsewhere."""
    return {
        f"{route.method} {route.path}"
        for route in app.state.dispatcher.routes
        if route.path not in OPEN_PATHS and not route.path.startswith(ELSEWHERE)
    }


def test_every_route_has_a_verdict(parties: Parties) -> None:
    elsewhere = {route for routes in IN_OTHER_PROTOCOLS.values() for route in routes}
    routes = served_routes(parties._server.app)
    assert elsewhere <= routes
    routes -= elsewhere

    assert routes == set(VERDICTS), "a route without a verdict may show anybody's things to everybody"
    assert routes - set(BEYOND_THE_CONTRACT) <= set(OPERATIONS)


def test_every_verdict_has_a_case() -> None:
    assert {parameters.values[0] for parameters in EVERY_CASE} == set(VERDICTS)


@pytest.mark.parametrize(("name", "case", "verdict"), EVERY_CASE)
def test_a_stranger(name: str, case: Case, verdict: str, parties: Parties) -> None:
    operation = operation_of(name)
    with parties.stranger() as owner, parties.stranger() as other:
        if verdict == NOTHING_OF_IT:
            nowhere = dict.fromkeys(make_keys(), str(uuid4()))
            before = send(other, operation, case, nowhere)
        world = secret_world(owner, case.world)
        owned = snapshot(owner, world, case.world)

        response = send(other, operation, case, world)

        assert SECRET not in response.text
        assert snapshot(owner, world, case.world) == owned
        told = f"{name} -> {response.status_code} {response.text[:300]}"
        if case.path.get("assistant_id", "$").startswith("$") is False:  # an assistant of the server's own
            assert response.status_code in (200, 404), told
        elif verdict == GONE:
            assert response.status_code == 404, told
            assert list(response.json()) == ["detail"]
        elif verdict == CLASH:
            assert response.status_code == 409, told
        elif verdict == OWN:
            assert response.status_code == case.status, told
            assert world["thread_id"] not in response.text
        elif verdict == NOTHING_OF_IT:
            assert (response.status_code, response.content) == (before.status_code, before.content), told
            assert world["thread_id"] not in response.text
        elif verdict == REFUSED:
            assert response.status_code == 200, told
            harmless = case.body["method"].startswith("subscription.")
            assert response.json()["type"] == ("success" if harmless else "error"), told
        elif verdict == EMPTY:
            assert (response.status_code, response.content) == (200, b""), told
        else:
            assert response.status_code == 200, told
            assert response.text.count("event:") == 1, told
            assert "404: " in response.text, told
            if world["thread_id"] not in str(response.request.url):
                assert world["thread_id"] not in str(response.headers)


@pytest.mark.parametrize("name", [name for name, verdict in VERDICTS.items() if verdict in (GONE, CLASH)])
def test_the_owner(name: str, parties: Parties) -> None:
    """What a stranger is refused works for the owner: it is refused for no other reason."""
    case = CASES[name][0] if name in CASES else MORE_CASES[name][0][0]
    with parties.stranger() as owner:
        world = secret_world(owner, case.world)
        response = send(owner, operation_of(name), case, world)
        assert response.status_code == case.status, response.text


def operation_of(name: str) -> Operation:
    return BEYOND_THE_CONTRACT[name] if name in BEYOND_THE_CONTRACT else OPERATIONS[name]


def make_keys() -> set[str]:
    """The names of a world's values."""
    return {
        "assistant_id",
        "thread_id",
        "run_id",
        "checkpoint_id",
        "namespace",
        "fresh_thread_id",
        "item_namespace",
        "new_id",
        "cron_id",
        "thread_cron_id",
    }


def secret_world(http: httpx.Client, kind: str) -> World:
    """A world with a secret in everything it holds."""
    world = make_world(http, kind)
    secret = {"secret": SECRET}
    thread, assistant = f"/threads/{world['thread_id']}", f"/assistants/{world['assistant_id']}"
    http.patch(thread, json={"metadata": secret}).raise_for_status()
    http.patch(assistant, json={"metadata": secret, "name": SECRET, "context": secret}).raise_for_status()
    if kind == "settled":
        http.post(f"{thread}/state", json={"values": {"x": SECRET}}).raise_for_status()
        world["checkpoint_id"] = http.get(f"{thread}/state").raise_for_status().json()["checkpoint"]["checkpoint_id"]
        body = {
            **THREAD_RUN,
            "input": {"x": SECRET},
            "metadata": secret,
            "interrupt_after": None,
            "interrupt_before": None,
        }
        http.post(f"{thread}/runs/wait", json={**body, "if_not_exists": "reject"}).raise_for_status()
    http.patch(f"/runs/crons/{world['cron_id']}", json={"metadata": secret, "input": secret}).raise_for_status()
    cron = {"assistant_id": world["assistant_id"], "schedule": NEVER, "metadata": secret, "input": secret}
    world["thread_cron_id"] = http.post(f"{thread}/runs/crons", json=cron).raise_for_status().json()["cron_id"]
    item = {"namespace": ["world", world["thread_id"]], "key": "k", "value": {"n": 1, **secret}}
    http.put("/store/items", json=item).raise_for_status()
    return world


def snapshot(http: httpx.Client, world: World, kind: str) -> list[Any]:
    """All of a world, as its owner sees it."""
    thread, assistant = f"/threads/{world['thread_id']}", f"/assistants/{world['assistant_id']}"
    paths = [f"{thread}/runs/{world['run_id']}", assistant, f"/threads/{world['fresh_thread_id']}"]
    if kind == "settled":
        paths += [thread, f"{thread}/state", f"{thread}/runs", f"{thread}/history"]
    paths += [f"/runs/crons/{world[name]}" for name in ("cron_id", "thread_cron_id")]
    found = [http.get(path).raise_for_status().json() for path in paths]
    found.append(http.post(f"{assistant}/versions", json={}).raise_for_status().json())
    parameters = {"namespace": world["item_namespace"], "key": "k"}
    found.append(http.get("/store/items", params=parameters).raise_for_status().json())
    assert found[-1]["value"]["secret"] == SECRET
    return found


def send(http: httpx.Client, operation: Operation, case: Case, world: Mapping[str, str]) -> httpx.Response:
    """The whole answer to `case`, also of a stream: a stranger's has to end."""
    world = dict(world)
    body = filled(case.body, world)
    request: dict[str, Any] = {} if case.body is None else {"json": body}
    return http.request(
        operation.method,
        path_of(operation, world, case.path),
        params=filled(case.query, world) or None,
        headers=dict(case.headers),
        **request,
    )
