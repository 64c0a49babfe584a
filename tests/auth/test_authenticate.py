"""Who sends a request: the project's ``authenticate`` handler (spec 18.2, 18.3)."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import Auth
from pydantic import BaseModel
from starlette.requests import Request

from tests.auth.conftest import Protected
from tests.auth.given import by_header, configured
from tests.conftest import connected, served
from waystation.auth.custom import PARAMETERS
from waystation.errors import ConfigError

THREAD = "0198c0de-0000-7000-8000-000000000001"


def answering(answer: Any) -> Auth:
    """Everybody is `answer`."""
    auth = Auth()

    @auth.authenticate
    async def authenticate() -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return auth


async def test_handler_gets_everything_it_can_ask_for(protected: Protected) -> None:
    auth, seen = Auth(), {}

    @auth.authenticate
    async def authenticate(
        request: Request,
        body: dict[str, Any],
        path: str,
        method: str,
        path_params: dict[str, str],
        query_params: dict[str, str],
        headers: dict[bytes, bytes],
        authorization: str | None,
        scope: dict[str, Any],
        user: Any,
        scopes: Any,
        optional: str = "default",
    ) -> str:
        seen.update({name: value for name, value in locals().items() if name in PARAMETERS or name == "optional"})
        seen["read again"] = await request.json()
        return "u"

    async with protected(auth) as http:
        sent = {"metadata": {"a": 1}}
        response = await http.patch(f"/threads/{THREAD}?q=1", json=sent, headers={"Authorization": "Bearer t"})
        assert response.status_code == 404
        assert seen["body"] == seen["read again"] == sent
        assert (seen["path"], seen["method"]) == (f"/threads/{THREAD}", "PATCH")
        assert (seen["path_params"], seen["query_params"]) == ({"thread_id": THREAD}, {"q": "1"})
        assert seen["headers"][b"authorization"] == b"Bearer t"
        assert seen["authorization"] == "Bearer t"
        assert (seen["scope"]["type"], seen["user"], list(seen["scopes"]), seen["optional"]) == (
            "http",
            None,
            [],
            "default",
        )
        assert seen.keys() >= PARAMETERS

        thread = (await http.post("/threads", json=sent)).json()
        assert thread["metadata"] == {"a": 1}, "the route reads the body that the handler has read"


async def test_asking_for_something_else_stops_the_start(tmp_path: Path) -> None:
    auth = Auth()

    @auth.authenticate
    async def authenticate(cookies: dict[str, str]) -> str:
        return "u"

    with pytest.raises(ConfigError, match="'cookies'"):
        async with served(tmp_path, auth=configured(auth)):
            pass


@pytest.mark.parametrize("path", ["tests.auth.given:nothing", "tests.auth.given:configured", "./nowhere.py:auth"])
async def test_what_is_no_auth_object_stops_the_start(tmp_path: Path, path: str) -> None:
    auth = dataclasses.replace(configured(Auth()), path=path)

    with pytest.raises(ConfigError, match=r"auth\.path:"):
        async with served(tmp_path, auth=auth):
            pass


@dataclasses.dataclass
class Person:
    identity: str
    team: str = "red"

    @property
    def permissions(self) -> list[str]:
        return ["p"]


class Model(BaseModel):
    identity: str
    team: str = "red"
    permissions: list[str] = ["p"]


class Plain:
    def __init__(self) -> None:
        self.identity = "u"
        self.team = "red"
        self.permissions = ("p",)


@pytest.mark.parametrize(
    "answer",
    [
        {"identity": "u", "team": "red", "permissions": ["p"]},
        (["p"], {"identity": "u", "team": "red"}),
        Person("u"),
        Model(identity="u"),
        Plain(),
    ],
)
async def test_forms_of_a_user(protected: Protected, answer: Any) -> None:
    auth, contexts = answering(answer), []

    @auth.on
    async def see(ctx: Auth.types.AuthContext, value: Any) -> None:
        contexts.append(ctx)

    async with protected(auth) as http:
        assert (await http.post("/threads", json={})).status_code == 200
    user: Any = contexts[0].user
    assert (user.identity, user.display_name, user.is_authenticated) == ("u", "u", True)
    assert (user["identity"], user["team"], user.team, "team" in user) == ("u", "red", "red", True)
    assert list(contexts[0].permissions) == list(user.permissions) == ["p"]
    assert isinstance(contexts[0].user, Auth.types.BaseUser)
    anything: Any = contexts[0].user
    with pytest.raises(AttributeError):
        _ = anything.nothing


async def test_a_string_is_an_identity(protected: Protected) -> None:
    async with protected(answering("u")) as http:
        assert (await http.post("/threads", json={})).status_code == 200


@pytest.mark.parametrize("answer", [None, 7, {}, {"identity": None}, {"identity": "u", "permissions": "p"}, [], True])
async def test_what_is_no_user_lets_nobody_in(protected: Protected, answer: Any) -> None:
    async with protected(answering(answer)) as http:
        response = await http.post("/threads/search", json={})
    assert response.status_code == 500
    assert list(response.json()) == ["detail"]


HTTPError = Auth.exceptions.HTTPException


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HTTPError(), 401),
        (HTTPError(status_code=403, detail="no"), 403),
        (HTTPError(status_code=429, detail="slowly", headers={"Retry-After": "9"}), 429),
        (HTTPError(status_code=200, detail="not refused"), 500),
        (AssertionError("a"), 500),
        (RuntimeError("the password is 1234"), 500),
        (KeyError("k"), 500),
    ],
)
async def test_errors(protected: Protected, error: Exception, status: int) -> None:
    async with protected(answering(error)) as http:
        response = await http.post("/threads/search", json={})
    assert response.status_code == status
    assert list(response.json()) == ["detail"]
    assert "1234" not in response.text
    if status == 429:
        assert (response.json()["detail"], response.headers["retry-after"]) == ("slowly", "9")


async def test_what_needs_no_authentication(protected: Protected) -> None:
    async with protected(by_header()) as http:
        for path in ("/", "/ok", "/info", "/metrics", "/docs", "/openapi.json"):
            assert (await http.get(path)).status_code == 200, path
        for path in ("/threads", "/nowhere", "/ok/", "/runs/crons", "/mcp"):
            response = await http.get(path, headers={"Origin": "http://elsewhere"})
            assert (response.status_code, response.json()) == (401, {"detail": "Who are you?"}), path
            assert response.headers["access-control-allow-origin"] == "*"
        preflight = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "POST"}
        assert (await http.options("/threads", headers=preflight)).status_code == 200
        assert (await http.get("/ui/agent")).status_code == 404
        assert (await http.get("/nowhere", headers={"X-User": "u"})).status_code == 404


async def test_synchronous_handler_runs_beside_the_event_loop(protected: Protected) -> None:
    auth, threads = Auth(), []

    @auth.authenticate  # type: ignore[type-var]
    def authenticate(authorization: str | None) -> str:
        threads.append(threading.current_thread())
        return "u"

    async with protected(auth) as http:
        assert (await http.post("/threads", json={})).status_code == 200
    assert threads
    assert threading.current_thread() not in threads


STUDIO = {"X-Auth-Scheme": "langsmith"}


@pytest.mark.parametrize(("disabled", "status"), [(False, 200), (True, 401), (None, 401)])
async def test_the_studio(protected: Protected, disabled: bool | None, status: int) -> None:
    auth, users = by_header(), []

    @auth.on
    async def see(ctx: Auth.types.AuthContext, value: Any) -> None:
        users.append((ctx.user, list(ctx.permissions)))

    async with protected(auth, disable_studio_auth=disabled) as http:
        assert (await http.post("/threads/search", json={}, headers=STUDIO)).status_code == status
    if status == 200:
        [(user, permissions)] = users
        assert isinstance(user, Auth.types.StudioUser)
        assert (user.identity, permissions) == ("langgraph-studio-user", [])


async def test_handlers_decide_about_the_studio_as_well(protected: Protected) -> None:
    auth = by_header()

    @auth.on
    async def only_others(ctx: Auth.types.AuthContext, value: Any) -> bool:
        return not isinstance(ctx.user, Auth.types.StudioUser)

    async with protected(auth, disable_studio_auth=False) as http:
        assert (await http.post("/threads/search", json={}, headers=STUDIO)).status_code == 403
        assert (await http.post("/threads/search", json={}, headers={"X-User": "u"})).status_code == 200


async def test_cache(protected: Protected) -> None:
    auth, asked = Auth(), []

    @auth.authenticate
    async def authenticate(authorization: str | None) -> str:
        asked.append(authorization)
        if authorization in (None, "Bearer wrong"):
            raise HTTPError
        return str(authorization)

    async with protected(auth, cache_headers=("authorization",), cache_size=1) as http:

        async def status(token: str | None) -> int:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            return (await http.post("/threads/search", json={}, headers=headers)).status_code

        assert [await status(token) for token in ("a", "a", "b", "a", "wrong", "wrong", None, None, "a")] == [
            *(200, 200, 200, 200),
            *(401, 401, 401, 401),
            200,
        ]
    assert asked == [*("Bearer a", "Bearer b", "Bearer a"), *("Bearer wrong", "Bearer wrong"), None, None]


async def test_openapi_tells_how_to_authenticate(protected: Protected) -> None:
    openapi = {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        "security": [{"token": []}],
        "paths": {"/threads": {"post": {"security": [{"token": ["write"]}]}}},
    }
    async with protected(by_header(), openapi=openapi) as http:
        document = (await http.get("/openapi.json")).json()
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"] == openapi["securitySchemes"]
    assert document["paths"]["/threads"]["post"]["security"] == [{"token": ["write"]}]
    assert document["paths"]["/ok"]["get"]["security"] == []


async def test_a_large_body_is_refused_before_the_handler_has_it(tmp_path: Path) -> None:
    auth, asked = Auth(), []

    @auth.authenticate
    async def authenticate(body: dict[str, Any]) -> str:
        asked.append(body)
        return "u"

    async with served(tmp_path, auth=configured(auth), max_body_bytes=100) as app, connected(app) as http:
        assert (await http.post("/threads", json={"metadata": {"a": "x" * 200}})).status_code == 413
    assert not asked
