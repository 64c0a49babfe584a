"""Connecting to checked addresses only: what the name server says is not to be trusted."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx
import pytest

from tests.webhooks.receiver import Receiver, receiving
from waystation.outgoing import CheckedTransport, UrlPolicy, UrlRefused, resolve

LOOPBACK = UrlPolicy(allow_loopback=True)


class Names:
    """A name server that answers in turn, and at last the same again."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[IPv4Address | IPv6Address]:
        self.asked.append((host, port))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(text) for text in answer]


def client(policy: UrlPolicy, names: Names, *, follow_redirects: bool = False) -> httpx.AsyncClient:
    transport = CheckedTransport(policy, resolve=names, verify=ssl.create_default_context())
    return httpx.AsyncClient(transport=transport, trust_env=False, timeout=5, follow_redirects=follow_redirects)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as each:
        yield each


async def test_connects_to_the_checked_address_with_the_name_in_the_header(receiver: Receiver) -> None:
    names = Names(["127.0.0.1"])
    async with client(LOOPBACK, names) as http:
        response = await http.post(f"http://hooks.example.com:{receiver.server.server_port}/a?b=c", content=b"{}")
    assert response.status_code == 200
    assert receiver.calls[0].headers["host"] == f"hooks.example.com:{receiver.server.server_port}"
    assert receiver.calls[0].path == "/a?b=c"
    assert names.asked == [("hooks.example.com", receiver.server.server_port)]
    assert response.url.host == "hooks.example.com"


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["1.1.1.1", "127.0.0.1"],
        ["127.0.0.1", "1.1.1.1"],
    ],
)
async def test_name_that_leads_inside_is_refused(receiver: Receiver, addresses: list[str]) -> None:
    async with client(UrlPolicy(), Names(addresses)) as http:
        with pytest.raises(UrlRefused) as caught:
            await http.get(f"http://hooks.example.com:{receiver.server.server_port}/")
    assert receiver.calls == []
    assert not any(address in caught.value.message for address in addresses)


async def test_rebinding_makes_no_difference(receiver: Receiver) -> None:
    """The name server answers with an acceptable address first and with an inner one a moment later."""
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    url = f"http://rebind.example.com:{receiver.server.server_port}/"
    async with client(LOOPBACK, names) as http:
        assert (await http.get(url)).status_code == 200
        assert len(names.asked) == 1, "the address that was checked is the one that was connected to"
        with pytest.raises(UrlRefused):
            await http.get(url)
    assert len(receiver.calls) == 1


async def test_every_redirect_is_checked(receiver: Receiver) -> None:
    port = receiver.server.server_port
    targets = {
        "/literal": "http://10.0.0.1/",
        "/decimal": "http://2852039166/",
        "/name": f"http://inner.example.com:{port}/",
        "/scheme": "file:///etc/passwd",
        "/user": f"http://user@outer.example.com:{port}/",
    }
    receiver.answer_to = lambda call: (302, {"Location": targets[call.path]}) if call.path in targets else 200
    for path in targets:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        async with client(LOOPBACK, names, follow_redirects=True) as http:
            with pytest.raises((UrlRefused, httpx.UnsupportedProtocol)):
                await http.get(f"http://outer.example.com:{port}{path}")
    assert [call.path for call in receiver.calls] == list(targets)


async def test_next_address_is_tried_when_one_does_not_answer(receiver: Receiver) -> None:
    async with client(LOOPBACK, Names(["127.0.0.2", "127.0.0.1"])) as http:
        assert (await http.get(f"http://hooks.example.com:{receiver.server.server_port}/")).status_code == 200


async def test_literal_address_asks_nobody(receiver: Receiver) -> None:
    names = Names(["10.0.0.1"])
    async with client(LOOPBACK, names) as http:
        assert (await http.get(f"http://2130706433:{receiver.server.server_port}/")).status_code == 200
    assert names.asked == []


async def test_unknown_host_is_a_network_error() -> None:
    async def unknown(host: str, port: int) -> Sequence[IPv4Address]:
        raise OSError("no such host")

    transport = CheckedTransport(UrlPolicy(), resolve=unknown, verify=ssl.create_default_context())
    async with httpx.AsyncClient(transport=transport, trust_env=False) as http:
        with pytest.raises(httpx.ConnectError, match="no such host"):
            await http.get("https://nowhere.example.com/")


async def test_names_that_never_exist_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked(*_: object, **__: object) -> object:
        raise AssertionError

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", asked)
    for name in ("hook.invalid", "hook.invalid."):
        with pytest.raises(OSError, match="no such host"):
            await resolve(name, 443)


async def test_system_resolver() -> None:
    assert ip_address("127.0.0.1") in await resolve("localhost", 80)


async def test_certificate_is_that_of_the_name() -> None:
    """The name goes into the TLS handshake, not the address: a server sees which certificate is wanted."""
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with client(LOOPBACK, Names(["127.0.0.1"])) as http:
        with pytest.raises(httpx.ConnectError):  # the server has no certificate at all
            await http.get(f"https://hooks.example.com:{port}/")
    server.close()
    await server.wait_closed()
    assert asked == ["hooks.example.com"]
