"""Every operation of the contract is served, and answers in its form."""

from __future__ import annotations

import httpx
import pytest

from tests.contract.cases import CASES, Case, make_world
from tests.contract.contract import OPERATIONS, operation
from tests.contract.exchange import send, verified

EVERY_CASE = [
    pytest.param(name, case, id=f"{name.replace('/', '.')}-{number}")
    for name, cases in CASES.items()
    for number, case in enumerate(cases)
]

KEYS = {
    "GET /assistants/{assistant_id}": (
        "assistant_id graph_id config context metadata name description created_at updated_at version"
    ),
    "GET /threads/{thread_id}": (
        "thread_id created_at updated_at state_updated_at metadata config status values interrupts error"
    ),
    "GET /threads/{thread_id}/runs/{run_id}": (
        "run_id thread_id assistant_id created_at updated_at status metadata kwargs multitask_strategy"
    ),
    "GET /threads/{thread_id}/state": (
        "values next tasks metadata created_at checkpoint parent_checkpoint interrupts checkpoint_id "
        "parent_checkpoint_id"
    ),
    "GET /runs/crons/{cron_id}": (
        "cron_id assistant_id thread_id user_id schedule timezone end_time payload next_run_date metadata "
        "on_run_completed enabled created_at updated_at"
    ),
    "GET /store/items": "namespace key value created_at updated_at",
    "GET /assistants/{assistant_id}/schemas": (
        "graph_id input_schema output_schema state_schema config_schema context_schema"
    ),
}
"""The properties of each object (reference 2.1, 3.1, 5.3, 4.1, 12, 10, 2.5); a run has `langsmith_session_name` if it is traced."""


def test_there_is_a_case_for_every_operation() -> None:
    assert set(CASES) == set(OPERATIONS)


@pytest.mark.parametrize(("name", "case"), EVERY_CASE)
def test_operation(name: str, case: Case, http: httpx.Client) -> None:
    world = make_world(http, case.world)
    response = send(http, operation(name), case, world)
    assert response.status_code == case.status, "" if case.endless else response.text
    verified(operation(name), response, endless=case.endless)


@pytest.mark.parametrize("name", KEYS)
def test_object_has_exactly_its_documented_properties(name: str, http: httpx.Client) -> None:
    response = send(http, operation(name), CASES[name][0], make_world(http))
    assert sorted(response.json()) == sorted(KEYS[name].split())


def test_deleted_things_are_gone(http: httpx.Client) -> None:
    world = make_world(http)
    for path in (
        "/threads/{thread_id}/runs/{run_id}",
        "/threads/{thread_id}",
        "/runs/crons/{cron_id}",
        "/assistants/{assistant_id}",
    ):
        path = path.format(**world)
        assert http.get(path).status_code == 200
        assert http.delete(path).status_code == 204
        assert http.get(path).status_code == 404


def test_method_that_a_path_does_not_have(http: httpx.Client) -> None:
    response = http.put("/threads")
    assert (response.status_code, response.json()) == (405, {"detail": "Method Not Allowed"})
    assert "POST" in response.headers["allow"]


def test_path_that_does_not_exist(http: httpx.Client) -> None:
    response = http.get("/nowhere")
    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})
