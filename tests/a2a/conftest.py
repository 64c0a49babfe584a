"""The official client, in both generations of the protocol, against a server on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.types import Message, Part, Role, SendMessageConfiguration, SendMessageRequest, StreamResponse

from tests.conftest import project_config
from tests.driver import Driver
from tests.live import LiveServer, listening
from tests.webhooks.conftest import QUICK
from waystation.app import create_app
from waystation.assistants import assistant_id_for_graph

__all__ = ["Agent", "agent_url", "data", "request_of", "rpc", "text", "told"]

Agent = Callable[..., Awaitable[Client]]

HTTP = {"timeout": 30, "verify": False}


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    config = project_config(tmp_path_factory.mktemp("a2a"), heartbeat_s=0.2, webhooks=QUICK, allow_private_urls=True)
    with listening(create_app(config)) as live:
        yield live


@pytest.fixture
async def http(server: LiveServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30, verify=False) as client:
        yield client


@pytest.fixture
def driver(http: httpx.AsyncClient) -> Driver:
    return Driver(http)


@pytest.fixture(params=["0.3", "1.0"])
def generation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def agent(http: httpx.AsyncClient, generation: str) -> Agent:
    """Makes a client of a graph's assistant that speaks the `generation`."""

    async def make(graph: str, *, streaming: bool = False) -> Client:
        card = await A2ACardResolver(http, str(http.base_url) + agent_url(graph)).get_agent_card()
        spoken = [each for each in card.supported_interfaces if each.protocol_version == generation]
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(spoken)
        return ClientFactory(ClientConfig(streaming=streaming, httpx_client=http)).create(card)

    return make


def agent_url(graph: str) -> str:
    return f"/a2a/{assistant_id_for_graph(graph)}"


def text(said: str) -> Part:
    return Part(text=said)


def data(**values: Any) -> Part:
    part = Part()
    part.data.struct_value.update(values)
    return part


def request_of(*parts: Part, task: Any = None, context: str = "", **configuration: Any) -> SendMessageRequest:
    """A message with these parts, to a task if one is given."""
    message = Message(role=Role.ROLE_USER, message_id=str(uuid4()), parts=parts, context_id=context)
    if task is not None:
        message.task_id, message.context_id = task.id, task.context_id
    return SendMessageRequest(message=message, configuration=SendMessageConfiguration(**configuration))


async def told(client: Client, request: SendMessageRequest) -> list[StreamResponse]:
    """All that the agent answers."""
    return [answer async for answer in client.send_message(request)]


async def rpc(http: httpx.AsyncClient, graph: str, method: str, params: Any, **headers: str) -> Any:
    """The answer to a call, as JSON."""
    body = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
    response = await http.post(agent_url(graph), json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()
