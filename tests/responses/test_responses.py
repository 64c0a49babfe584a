"""Responses, as the official client gets them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from openai import AsyncOpenAI, BadRequestError, DefaultHttpxClient, NotFoundError, OpenAI
from openai.types.responses import Response

from tests.driver import Driver, eventually
from tests.live import LiveServer
from tests.responses.given import answered, call_of, kinds, valid


async def test_an_answer(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model="helper", input="good morning", metadata={"a": "b"}, user="me")

    assert Response.model_validate(response.to_dict()).status == "completed"
    assert response.output_text == "good morning "
    assert (response.model, response.metadata, response.object) == ("helper", {"a": "b"}, "response")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.total_tokens) == (10, 15)
    assert (await client.responses.retrieve(response.id)).to_dict() == response.to_dict()


def test_the_blocking_client(live_server: LiveServer) -> None:
    url = live_server.url
    with (
        DefaultHttpxClient(verify=False) as http,
        OpenAI(api_key="-", base_url=f"{url}/v1", http_client=http) as client,
    ):
        assert client.responses.create(model="chat", input="2").output_text == "w0 w1"
        with client.responses.stream(model="chat", input="2") as stream:
            stream.until_done()
            assert stream.get_final_response().output_text == "w0 w1"
        assert "chat" in [model.id for model in client.models.list()]


async def test_thoughts_and_tools_of_the_assistant(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model="helper", input="call weather")

    assert kinds(response) == ["reasoning", "message", "mcp_call", "message"]
    thought, _, call, _ = (item.to_dict() for item in response.output)
    assert thought["content"] == [{"type": "reasoning_text", "text": "Which tool?"}]
    assert (call["name"], call["arguments"], call["output"]) == ("weather", '{"city":"Paris"}', "sunny in Paris")
    assert response.output_text == "One moment.The tool said: sunny in Paris"


async def test_a_stream(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model="helper", input="call weather", stream=True)
    events = [valid(event) async for event in stream]

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert deltas == ["One moment.", "The tool ", "said: sunny in Paris"]
    done = [event.item.to_dict() for event in events if event.type == "response.output_item.done"]
    [mcp] = [event for event in events if event.type == "response.mcp_call_arguments.done"]
    assert mcp.arguments == '{"city":"Paris"}'
    final = events[-1].response
    assert events[-1].type == "response.completed"
    assert done == [item.to_dict() for item in final.output]
    assert (await client.responses.retrieve(final.id)).to_dict() == final.to_dict()


async def test_a_conversation(client: AsyncOpenAI, driver: Driver) -> None:
    one = await client.responses.create(model="helper", input="one", instructions="Be kind.")
    two = await client.responses.create(
        model="helper", input="two", previous_response_id=one.id, instructions="Be quick."
    )
    three = await client.responses.create(model="helper", input="three", previous_response_id=two.id)
    other = await client.responses.create(model="helper", input="other", previous_response_id=one.id)

    texts = [response.output_text for response in (one, two, three, other)]
    assert texts == ["one (Be kind.)", "two (Be quick.)", "three ", "other "]
    assert other.previous_response_id == one.id
    thread_id = await thread_of(driver, one)
    assert await thread_of(driver, other) == thread_id
    state = await driver.state(thread_id)
    said = [message["content"] for message in state["values"]["messages"]]
    assert said == ["one", "one (Be kind.)", "other", "other "]  # a branch of its own, without "two"
    assert (await client.responses.retrieve(two.id)).output_text == "two (Be quick.)"


async def thread_of(driver: Driver, response: Response) -> str:
    run_id = str(UUID(response.id.removeprefix("resp_")))
    found = await driver.http.post("/threads/search", json={"limit": 1000})
    for thread in found.json():
        if any(run["run_id"] == run_id for run in await driver.runs(thread["thread_id"])):
            return str(thread["thread_id"])
    raise AssertionError("the response's run is on no thread")


async def test_a_conversation_by_name(client: AsyncOpenAI, driver: Driver) -> None:
    thread_id = await driver.thread()
    for text in ("one", "two"):
        response = await client.responses.create(model="helper", input=text, conversation=thread_id)
    assert response.conversation is not None
    assert response.conversation.id == f"conv_{UUID(thread_id).hex}"
    again = await client.responses.create(model="helper", input="three", conversation={"id": response.conversation.id})
    assert again.conversation == response.conversation
    assert len((await driver.state(thread_id))["values"]["messages"]) == 6


@pytest.mark.parametrize("stream", [False, True])
async def test_an_interrupt(client: AsyncOpenAI, stream: bool) -> None:
    async def create(**fields: object) -> Response:
        if not stream:
            return await client.responses.create(model="helper", **fields)  # type: ignore[no-any-return,call-overload]
        events = [event async for event in await client.responses.create(model="helper", stream=True, **fields)]  # type: ignore[call-overload]
        last: Response = events[-1].response
        done = [event.item.to_dict() for event in events if event.type == "response.output_item.done"]
        assert done == [item.to_dict() for item in last.output]
        return last

    paused = await create(input="call delete")
    assert paused.status == "incomplete"
    assert paused.incomplete_details is not None
    assert str(paused.incomplete_details.reason) == "interrupt"
    call = call_of(paused)
    assert (call.name, '"Really?"' in call.arguments) == ("interrupt", True)
    [waiting] = [item for item in paused.output if item.type == "mcp_call"]
    assert (waiting.name, waiting.status) == ("delete", "incomplete")

    with pytest.raises(BadRequestError, match="No tool output found"):
        await client.responses.create(model="helper", input="hello?", previous_response_id=paused.id)

    gone_on = await create(input=[answered(call, "yes")], previous_response_id=paused.id)
    assert gone_on.status == "completed"
    assert kinds(gone_on) == ["mcp_call", "message"]
    assert gone_on.output_text == "The tool said: told yes"
    assert (await client.responses.retrieve(paused.id)).status == "incomplete"
    assert (await client.responses.retrieve(gone_on.id)).to_dict() == gone_on.to_dict()


async def test_tools_of_the_client(client: AsyncOpenAI, driver: Driver) -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"type": "function", "name": "paint", "description": "Paints.", "parameters": parameters, "strict": False}
    stream: Any = await client.responses.create(model="helper", input="call paint", tools=[tool], stream=True)  # type: ignore[list-item]
    events = [valid(event) async for event in stream]
    [arguments] = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert arguments.arguments == '{"city": "Paris"}'
    asked = events[-1].response
    assert asked.status == "completed"
    call = call_of(asked)
    assert call.name == "paint"

    answer = await client.responses.create(
        model="helper",
        input=[answered(call, "a red house")],
        previous_response_id=asked.id,
        tools=[tool],  # type: ignore[list-item]
    )
    assert answer.output_text == "The tool said: a red house"
    assert kinds(answer) == ["message"]
    without = await client.responses.create(model="helper", input="bye", previous_response_id=answer.id)
    assert (await driver.state(await thread_of(driver, without)))["values"]["tools"] == []
    with pytest.raises(BadRequestError) as refused:
        await client.responses.create(model="chat", input="1", tools=[tool])  # type: ignore[list-item]
    assert (refused.value.param, refused.value.code) == ("tools", "unsupported_parameter")


async def test_a_whole_conversation_as_input(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="helper", input="call weather", store=False)
    assert first.output_text.endswith("sunny in Paris")
    with pytest.raises(NotFoundError):
        await client.responses.retrieve(first.id)

    history: Any = [{"role": "user", "content": "call weather"}, *(item.to_dict() for item in first.output)]
    second = await client.responses.create(
        model="helper",
        input=[
            {"role": "developer", "content": "Be brief."},
            *history,
            {"role": "user", "content": [{"type": "input_text", "text": "thanks"}]},
        ],
    )
    assert second.output_text == "thanks (Be brief.)"
    items = [item async for item in client.responses.input_items.list(second.id, order="asc", limit=2)]
    assert [item.type for item in items] == [
        "message",
        "message",
        "reasoning",
        "message",
        "mcp_call",
        "message",
        "message",
    ]
    newest = await client.responses.input_items.list(second.id)
    assert newest.data[0].to_dict()["content"] == [{"type": "input_text", "text": "thanks"}]


async def test_in_the_background(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model="slow_chat", input="400", background=True)
    assert (response.status, response.background, response.output) == ("queued", True, [])
    with pytest.raises(BadRequestError, match="still in progress"):
        await client.responses.create(model="slow_chat", input="1", previous_response_id=response.id)

    await client.responses.cancel(response.id)

    async def over() -> Response | None:
        found = await client.responses.retrieve(response.id)
        return found if found.status == "cancelled" else None

    cancelled = await eventually(over)
    assert (await client.responses.cancel(response.id)).to_dict() == cancelled.to_dict()


async def test_a_stream_that_is_taken_up_again(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model="slow_chat", input="4", background=True, stream=True)
    seen = []
    async for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    response = seen[0].response  # type: ignore[union-attr]
    rest = [
        event
        async for event in await client.responses.retrieve(
            response.id, stream=True, starting_after=seen[-1].sequence_number
        )
    ]
    assert [event.sequence_number for event in rest][:2] == [len(seen), len(seen) + 1]
    text = "".join(event.delta for event in [*seen, *rest] if event.type == "response.output_text.delta")
    assert text == "w0 w1 w2 w3"
    assert rest[-1].type == "response.completed"
    plain = await client.responses.create(model="chat", input="1")
    with pytest.raises(BadRequestError):
        await client.responses.retrieve(plain.id, stream=True)


async def test_a_failure(client: AsyncOpenAI) -> None:
    response = await client.responses.create(model="helper", input="fail")
    assert response.status == "failed"
    assert response.error is not None
    assert (response.error.code, response.error.message) == ("server_error", "ValueError: the model failed")
    assert (await client.responses.retrieve(response.id)).to_dict() == response.to_dict()
    events = [event async for event in await client.responses.create(model="helper", input="fail", stream=True)]
    assert events[-1].type == "response.failed"
    assert events[-1].response.error == response.error


async def test_deleting(client: AsyncOpenAI, driver: Driver) -> None:
    one = await client.responses.create(model="helper", input="one")
    two = await client.responses.create(model="helper", input="two", previous_response_id=one.id)
    thread_id = await thread_of(driver, one)
    await client.responses.delete(two.id)
    with pytest.raises(NotFoundError):
        await client.responses.retrieve(two.id)
    assert (await client.responses.retrieve(one.id)).output_text == "one "
    await client.responses.delete(one.id)
    assert (await driver.http.get(f"/threads/{thread_id}")).status_code == 404


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away(driver: Driver, stream: bool) -> None:
    thread_id = await driver.thread()
    body = {"model": "slow_chat", "input": "1000", "conversation": thread_id, "stream": stream}
    async with driver.http.stream("POST", "/v1/responses", json=body) as response:
        assert response.status_code == 200
    [run] = await driver.runs(thread_id)
    await driver.reaches(thread_id, run["run_id"], "interrupted")


async def test_a_stream_that_is_over(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model="helper", input="call weather", background=True, stream=True)
    events = [event async for event in stream]
    final = events[-1].response  # type: ignore[union-attr]
    again = [event async for event in await client.responses.retrieve(final.id, stream=True)]
    assert [event.to_dict() for event in again[2:]] == [event.to_dict() for event in events[2:]]
