"""Both protocols where one process takes requests and another executes runs, and it does not matter whom a client asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from tests.agui.front_end import FrontEnd
from tests.bus.fleet import Fleet
from tests.live import LiveServer


def client_of(server: LiveServer, http: DefaultAsyncHttpxClient) -> AsyncOpenAI:
    return AsyncOpenAI(api_key="-", base_url=f"{server.url}/v1", max_retries=0, http_client=http)


async def test_any_process_will_do(tmp_path: Path, valkey: Any) -> None:
    with Fleet(tmp_path, valkey.connection_url, uuid4().hex) as fleet:
        one, other = fleet.start("api"), fleet.start("api")
        fleet.worker()
        async with DefaultAsyncHttpxClient(verify=False, timeout=60) as http:
            first, second = client_of(one, http), client_of(other, http)
            stream = await first.responses.create(model="slow_chat", input="20", background=True, stream=True)
            created = await anext(stream)
            assert created.type == "response.created"
            again = await second.responses.retrieve(created.response.id, stream=True)
            ends = [[event async for event in each][-1].response for each in (stream, again)]  # type: ignore[union-attr]
            assert ends[0].output_text.startswith("w0 w1 ")
            assert ends[0].to_dict() == ends[1].to_dict()
            answer = await second.responses.create(model="chat", input="2", previous_response_id=ends[0].id)
            assert answer.output_text == "w0 w1"

        async with fleet.driver(one) as driver, fleet.driver(other) as elsewhere:
            front = FrontEnd(driver.http)
            [interrupt] = (await front.says("call delete"))[-1].outcome.interrupts
            front.http = elsewhere.http
            await front.runs(resume=[{"interrupt_id": interrupt.id, "status": "resolved", "payload": "yes"}])
            assert front.shown[-1] == ("assistant", "The tool said: told yes")
