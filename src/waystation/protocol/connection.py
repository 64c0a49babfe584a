"""A WebSocket of the event streaming protocol: commands come in, answers and events go out (spec 13.4)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from uuid_utils import uuid4

from waystation.config.http import DEFAULT_CORS
from waystation.encoding import decode, encode
from waystation.errors import WaystationError
from waystation.http.authorization import caller_of
from waystation.http.bodies import describe, require_uuid
from waystation.http.errors import as_http_exception
from waystation.http.router import ApiRequest
from waystation.protocol.commands import Commands, InvalidCommand
from waystation.protocol.filters import Filter, Reconnect, as_filter, filter_of
from waystation.protocol.frames import Frame
from waystation.protocol.models import CommandFailed, failure, gap
from waystation.protocol.origins import is_welcome
from waystation.protocol.reader import Missed, Reader
from waystation.protocol.sessions import Session
from waystation.protocol.watching import Watch

if TYPE_CHECKING:
    from waystation.app import Server

__all__ = ["serve"]

GOING_AWAY, FAILED, TRY_AGAIN = 1001, 1011, 1013
"""Close codes of RFC 6455."""

STATUS_CODES = 4000
"""What is added to a status of HTTP to make a close code of it, which clients understand."""

MOST_SUBSCRIPTIONS = 1000
"""Of one connection."""


async def serve(scope: Scope, receive: Receive, send: Send, thread_id: str) -> None:
    """Serve one WebSocket until either side closes it."""
    socket = WebSocket(scope, receive, send)
    request = ApiRequest({**scope, "type": "http", "method": "POST"}, receive)  # routes and handlers know requests only
    server: Server = request.app.state.server
    if not is_welcome(socket.headers, server.config.http.cors or DEFAULT_CORS):
        raise HTTPException(403, "Pages of this origin may not connect.")
    await socket.accept()
    try:
        thread_id = require_uuid(thread_id, "thread_id")
        watch = await Watch.of(request, thread_id)
        hidden = await watch.hidden()
    except (WaystationError, HTTPException) as error:
        refused = as_http_exception(request, error) if isinstance(error, WaystationError) else error
        await socket.close(STATUS_CODES + refused.status_code, str(refused.detail)[:100])
        return
    if hidden:
        await socket.close(STATUS_CODES + 404, "Thread not found")
        return
    with server.sessions.reading(thread_id) as session:
        connection = Connection(socket, request, server, session, watch)
        server.metrics.streams.add(1)
        try:
            with contextlib.suppress(
                WebSocketDisconnect, RuntimeError
            ):  # the second: it was closed while we were sending
                await connection.serve()
        finally:
            server.metrics.streams.add(-1)


class Connection(Commands):
    """The commands and the events of one WebSocket. An event goes out once, whichever of the subscriptions want it."""

    def __init__(self, socket: WebSocket, request: ApiRequest, server: Server, session: Session, watch: Watch) -> None:
        super().__init__(request, session.thread_id)
        self._socket = socket
        self._session = session
        self._watch = watch
        self._caller = caller_of(request)
        self._subscriptions: dict[str, Filter] = {}
        self._reader = Reader(session, server)
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Until either side has enough."""
        await self._session.ready.wait()
        self._reader.skip()
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._tell())]
        if self._caller.until_refused is not None:
            tasks.append(asyncio.create_task(self._until_refused()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._reader.close()

    # --- coming in

    async def _listen(self) -> None:
        while (message := await self._socket.receive())["type"] != "websocket.disconnect":
            try:
                command = decode(message.get("text") or message.get("bytes") or b"")
            except ValueError:
                await self._send(failure(None, CommandFailed("invalid_argument", "The frame is not JSON.")))
                continue
            try:
                answer = await self.answer(command)
            except InvalidCommand as invalid:
                answer = failure(invalid.command_id, invalid)
            await self._send(answer)

    @property
    def applied_through(self) -> int:
        return self._reader.seen

    async def subscribe(self, params: Mapping[str, Any]) -> dict[str, Any]:
        subscription_id = str(uuid4())
        replayed = await self._begin(subscription_id, filter_of(params), 0)
        return {"subscription_id": subscription_id, "replayed_events": replayed}

    async def unsubscribe(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if self._subscriptions.pop(str(params.get("subscription_id")), None) is None:
            raise CommandFailed("no_such_subscription", "There is no such subscription on this connection.")
        return {}

    async def reconnect(self, params: Mapping[str, Any]) -> dict[str, Any]:
        try:
            wanted = Reconnect.model_validate(dict(params))
        except ValidationError as error:
            raise CommandFailed("invalid_argument", f"params: {describe(error)}") from None
        subscription_id = wanted.subscription_id or str(uuid4())
        replayed = await self._begin(subscription_id, as_filter(wanted), wanted.since)
        return {
            "subscription_id": subscription_id,
            "replayed_events": replayed,
            "restored": True,
            "missed_events": replayed,
        }

    async def _begin(self, subscription_id: str, wanted: Filter, since: int) -> int:
        """Send what a new subscription wants of what has been, up to where all others are; how much that was."""
        if len(self._subscriptions) >= MOST_SUBSCRIPTIONS:
            raise CommandFailed("invalid_argument", f"A connection has at most {MOST_SUBSCRIPTIONS} subscriptions.")
        replayed = 0
        async with self._sending:
            past = Reader(self._session, self._server)
            try:
                async with aclosing(past.replay(since, until=self._reader.at)) as pages:
                    async for batch in pages:
                        replayed += await self._send_frames(batch.frames, [wanted])
            except Missed as missed:
                details = {"since": missed.seen, "min_available_seq": missed.oldest}
                raise CommandFailed("resume_gap", "Events arrive faster than they are read.", **details) from None
            finally:
                await past.close()
            self._subscriptions[subscription_id] = wanted
        return replayed

    # --- going out

    async def _tell(self) -> None:
        try:
            while not self._reader.over:
                await self._reader.wait()
                async with self._sending:
                    batch = await self._reader.take()
                    if not await self._watch.may_see(batch):
                        await self._socket.close(STATUS_CODES + 404, "Thread not found")
                        return
                    await self._send_frames(batch.frames, list(self._subscriptions.values()))
        except Missed as missed:
            await self._send(gap(missed.seen, missed.oldest))
            await self._socket.close(TRY_AGAIN, "Too slow")
            return
        await self._socket.close(GOING_AWAY if self._server.bus.closed else FAILED)

    async def _send_frames(self, frames: Sequence[Frame], wanted: list[Filter]) -> int:
        """Send those that one of `wanted` wants; how many these were."""
        sent = 0
        for frame in frames:
            if any(each.wants(frame) for each in wanted):
                await self._socket.send_text(frame.envelope.decode())
                sent += 1
        return sent

    async def _send(self, answer: Mapping[str, Any]) -> None:
        async with self._sending:
            await self._socket.send_text(encode(answer).decode())

    async def _until_refused(self) -> None:
        assert self._caller.until_refused is not None
        await self._caller.until_refused()
        await self._socket.close(STATUS_CODES + 401, "The credentials are no longer valid.")
