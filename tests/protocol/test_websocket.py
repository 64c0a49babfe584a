"""The WebSocket: commands in, answers and events out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.auth.given import configured
from tests.auth.owners import owners
from tests.conftest import project_config
from tests.custom_app.given import configured as custom_app
from tests.live import LiveServer, listening
from tests.protocol.client import ALL, Client, Envelope, ended, kinds, of
from waystation.app import create_app
from waystation.config import HttpConfig


class Socket:
    """One connection, and everything that came over it."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._sent = 0
        self.frames: list[Any] = []

    async def send(self, text: str) -> None:
        await self._connection.send(text)

    async def until(self, last: Callable[[Any], bool]) -> list[Any]:
        """The next frames up to the first that is the `last`."""
        found: list[Any] = []
        while not found or not last(found[-1]):
            found.append(json.loads(await self._connection.recv()))
        self.frames += found
        return found

    async def events(self, last: Callable[[Envelope], bool] = ended) -> list[Envelope]:
        """The next events up to the `last`."""
        frames = await self.until(lambda frame: frame["type"] == "event" and last(frame))
        return [frame for frame in frames if frame["type"] == "event"]

    async def answer(self, method: str, **params: Any) -> tuple[Any, list[Envelope]]:
        """The answer to a command, and the events before it."""
        self._sent += 1
        await self.send(json.dumps({"id": self._sent, "method": method, "params": params}))
        *events, answer = await self.until(lambda frame: frame.get("id") == self._sent)
        return answer, events

    async def done(self, method: str, **params: Any) -> Any:
        answer, _ = await self.answer(method, **params)
        assert answer["type"] == "success", answer
        return answer["result"]


@asynccontextmanager
async def connected(server: LiveServer, thread_id: str, **options: Any) -> AsyncIterator[Socket]:
    address = server.url.replace("http", "ws", 1)
    async with connect(f"{address}/threads/{thread_id}/stream/events", **options) as connection:
        yield Socket(connection)


@pytest.fixture
async def socket(live_server: LiveServer, client: Client) -> AsyncIterator[Socket]:
    async with connected(live_server, client.thread_id) as socket:
        yield socket


async def test_a_run_over_one_connection(socket: Socket, client: Client) -> None:
    subscribed = await socket.done("subscription.subscribe", channels=ALL)
    assert subscribed["replayed_events"] == 0
    run_id = (await socket.done("run.start", assistant_id="hitl", input={"x": "a"}))["run_id"]
    await socket.events()
    events = [frame for frame in socket.frames if frame["type"] == "event"]
    assert events[0]["event_id"] == f"synth:{run_id}:lc||running"
    assert events == await client.until()
    [asked] = of(events, "input.requested")
    answer, before = await socket.answer("input.respond", interrupt_id=asked["interrupt_id"], response="yes")
    assert (answer["type"], answer["result"]) == ("success", {})
    assert answer["meta"]["applied_through_seq"] >= events[-1]["seq"]
    assert kinds(before + await socket.events()) == ["running", "completed"]


async def test_what_is_wrong_is_said_and_the_connection_stays(socket: Socket) -> None:
    for text, command_id in (("{", None), ("[]", None), ('{"id": 3}', 3), ('{"id": -1, "method": "x"}', None)):
        await socket.send(text)
        [answer] = await socket.until(lambda frame: True)
        assert (answer["type"], answer["id"], answer["error"]) == ("error", command_id, "invalid_argument")
    for method, code in (("none", "unknown_command"), ("subscription.unsubscribe", "no_such_subscription")):
        answer, _ = await socket.answer(method)
        assert answer["error"] == code
    await socket.done("subscription.subscribe", channels=["values"])


async def test_subscriptions_come_and_go(socket: Socket, client: Client) -> None:
    first = await socket.done("subscription.subscribe", channels=["lifecycle"])
    await client.run("echo", {"x": "a"})
    await socket.events()
    answer, past = await socket.answer("subscription.subscribe", channels=["values"])
    assert [each["method"] for each in past] == ["values"] * 2
    assert answer["result"]["replayed_events"] == 2
    assert await socket.done("subscription.unsubscribe", subscription_id=first["subscription_id"]) == {}
    await client.run("echo", {"x": "b"})
    live = await socket.events(lambda event: event["params"]["data"].get("x") == "b!")
    assert {each["method"] for each in live} == {"values"}


async def test_an_event_that_several_subscriptions_want_comes_once(socket: Socket, client: Client) -> None:
    for channels in (ALL, ["lifecycle", "values"]):
        await socket.done("subscription.subscribe", channels=channels)
    await client.run("nested", {"x": "a"})
    assert await socket.events() == await client.until()


async def test_a_subscription_is_taken_up_again(socket: Socket, client: Client) -> None:
    await client.run("nested", {"x": "a"})
    whole = await client.until()
    middle = whole[len(whole) // 2]["seq"]
    answer, past = await socket.answer("subscription.reconnect", channels=ALL, since=middle, subscription_id="mine")
    assert past == [each for each in whole if each["seq"] > middle]
    assert answer["result"]["subscription_id"] == "mine"
    assert answer["result"]["replayed_events"] == len(past)
    answer, _ = await socket.answer("subscription.reconnect", channels=ALL)
    assert answer["error"] == "invalid_argument"


async def test_what_is_no_thread(live_server: LiveServer) -> None:
    async with connected(live_server, "not-a-uuid") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.until(lambda frame: False)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4422


async def test_the_server_goes_away(tmp_path: Path) -> None:
    thread_id = str(uuid4())
    with listening(create_app(project_config(tmp_path))) as server:
        async with connected(server, thread_id) as socket:
            await socket.done("subscription.subscribe", channels=ALL)
            server.app.state.server.begin_shutdown()
            with pytest.raises(ConnectionClosed) as closed:
                await socket.until(lambda frame: False)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


async def test_somebody_elses_thread(tmp_path: Path) -> None:
    with listening(create_app(project_config(tmp_path, auth=configured(owners())))) as server:
        thread_id = str(uuid4())
        hers, his = ({"additional_headers": {"X-User": name}} for name in ("ann", "bob"))
        async with connected(server, thread_id, **his) as early, connected(server, thread_id, **hers) as owner:
            await early.done("subscription.subscribe", channels=ALL)
            await owner.done("subscription.subscribe", channels=ALL)
            await owner.done("run.start", assistant_id="echo", input={"x": "secret"})
            await owner.events()
            with pytest.raises(ConnectionClosed) as closed:
                await early.until(lambda frame: False)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4404
            assert [frame for frame in early.frames if frame["type"] == "event"] == []
        async with connected(server, thread_id, **his) as late:
            with pytest.raises(ConnectionClosed) as closed:
                await late.until(lambda frame: False)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4404


async def test_pages_of_other_origins(tmp_path: Path) -> None:
    """A browser lets any page open a WebSocket, and sends cookies along."""
    with listening(
        create_app(project_config(tmp_path, http=HttpConfig(cors={"allow_origins": ["https://a.test"]})))
    ) as server:
        thread_id = str(uuid4())
        for origin in ("https://a.test", server.url, None):
            headers = {} if origin is None else {"Origin": origin}
            async with connected(server, thread_id, additional_headers=headers) as socket:
                await socket.done("subscription.subscribe", channels=ALL)
        with pytest.raises(InvalidStatus) as refused:
            async with connected(server, thread_id, additional_headers={"Origin": "https://b.test"}):
                pass
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_beside_a_custom_app(prefix: str, tmp_path: Path) -> None:
    """Its own WebSockets are its own, those of the API stay."""
    custom = FastAPI()

    @custom.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("own")
        await socket.close()

    http = custom_app(custom, mount_prefix=prefix)
    with listening(create_app(project_config(tmp_path, http=http))) as server:
        address = server.url.replace("http", "ws", 1) + prefix
        async with connect(f"{address}/echo") as connection:
            assert await connection.recv() == "own"
        async with connect(f"{address}/threads/{uuid4()}/stream/events") as connection:
            assert (await Socket(connection).done("subscription.subscribe", channels=ALL))["replayed_events"] == 0
        with pytest.raises(InvalidStatus):
            async with connect(f"{address}/threads/{uuid4()}/commands"):
                pass


@pytest.mark.parametrize(
    "changes",
    [
        {"event_streaming": False},
        {"http": HttpConfig(disabled=frozenset({"event_streaming"}))},
        {"http": HttpConfig(disabled=frozenset({"runs"}))},
    ],
    ids=["flag", "disable_event_streaming", "disable_runs"],
)
async def test_turned_off(changes: dict[str, Any], tmp_path: Path) -> None:
    with listening(create_app(project_config(tmp_path, **changes))) as server:
        async with httpx.AsyncClient(base_url=server.url, verify=False) as http:
            for path in ("commands", "stream/events"):
                assert (await http.post(f"/threads/{uuid4()}/{path}", json={})).status_code == 404
        with pytest.raises(InvalidStatus):
            async with connected(server, str(uuid4())):
                pass
