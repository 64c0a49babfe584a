"""How a webhook gets to its receiver: attempts, headers, signatures, redirects, restarts."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from sqlalchemy import Connection

from tests.certificates import certified
from tests.conftest import connected, project_config, served
from tests.driver import eventually
from tests.ports import free_port
from tests.processes import ServerProcess
from tests.webhooks.conftest import QUICK, calling, calls_of, deliveries_of
from tests.webhooks.receiver import receiving
from waystation.config import HttpConfig
from waystation.databases import open_database
from waystation.observability.tallies import Tally
from waystation.webhooks import outbox
from waystation.webhooks.deliverer import Deliverer
from waystation.webhooks.policy import WebhookPolicy
from waystation.webhooks.sweeper import sweep_deliveries


async def told(sdk: LangGraphClient, url: str) -> tuple[str, str]:
    """A finished run with this webhook: its thread and its id."""
    thread = await sdk.threads.create()
    run = await sdk.runs.create(thread["thread_id"], "echo", input={"x": "a"}, webhook=url)
    await sdk.runs.join(thread["thread_id"], run["run_id"])
    return thread["thread_id"], run["run_id"]


# --- attempts


async def test_receiver_that_fails_twice(sdk: LangGraphClient) -> None:
    with receiving(500, 503) as receiver:
        thread_id, run_id = await told(sdk, receiver.url)
        (delivery,) = await deliveries_of(sdk, thread_id, run_id)

        assert [call.body["run_id"] for call in receiver.calls] == [run_id] * 3
        assert len({call.headers["waystation-delivery"] for call in receiver.calls}) == 1
        sent = [call.body["webhook_sent_at"] for call in receiver.calls]
        assert sent == sorted(set(sent))
        assert (delivery["url"], delivery["attempts"], delivery["next_attempt_at"]) == (receiver.url, 3, None)
        assert [(entry["attempt"], entry["status"]) for entry in delivery["log"]] == [(1, 500), (2, 503), (3, 200)]
        assert delivery["log"][0]["error"] == "the receiver answered 500"
        assert delivery["log"][2]["error"] is None


async def test_receiver_that_is_away_is_tried_until_it_is_given_up(sdk: LangGraphClient) -> None:
    thread_id, run_id = await told(sdk, f"http://127.0.0.1:{free_port()}")
    (delivery,) = await deliveries_of(sdk, thread_id, run_id, "failed")
    assert [entry["status"] for entry in delivery["log"]] == [None] * QUICK.attempts
    assert "ConnectError" in delivery["log"][0]["error"]
    assert delivery["finished_at"] is not None


@pytest.mark.parametrize(("status", "calls"), [(400, 1), (404, 1), (410, 1), (429, 2), (408, 2), (502, 2), (303, 1)])
async def test_which_answers_are_worth_another_attempt(sdk: LangGraphClient, status: int, calls: int) -> None:
    with receiving(status) as receiver:
        thread_id, run_id = await told(sdk, receiver.url)
        await deliveries_of(sdk, thread_id, run_id, "delivered" if calls == 2 or status == 303 else "failed")
        assert len(receiver.calls) == calls


async def test_receiver_can_ask_for_a_pause(sdk: LangGraphClient) -> None:
    with receiving((429, {"Retry-After": "1"})) as receiver:
        await told(sdk, receiver.url)
        first, second = await calls_of(receiver, 2)
        assert second.at - first.at >= 1


async def test_receiver_that_does_not_answer_holds_nobody_up(sdk: LangGraphClient) -> None:
    with receiving() as stuck, receiving() as other:
        stuck.hold.clear()
        await told(sdk, stuck.url)
        await calls_of(stuck)
        await told(sdk, other.url)
        await calls_of(other)


async def test_webhook_never_affects_the_run(sdk: LangGraphClient) -> None:
    with receiving(400) as receiver:
        thread_id, run_id = await told(sdk, receiver.url)
        await deliveries_of(sdk, thread_id, run_id, "failed")
        assert (await sdk.runs.get(thread_id, run_id))["status"] == "success"
        assert (await sdk.threads.get(thread_id))["status"] == "idle"


# --- headers


async def test_configured_headers_and_signature(tmp_path: Path) -> None:
    settings = replace(QUICK, headers={"Authorization": "Bearer token", "X-Own": "1"}, secrets=("new", "old"))
    async with calling(tmp_path, webhooks=settings) as sdk:
        with receiving() as receiver:
            await told(sdk, receiver.url)
            call = (await calls_of(receiver))[0]

    assert (call.headers["authorization"], call.headers["x-own"]) == ("Bearer token", "1")
    time, *digests = call.headers["waystation-signature"].split(",")
    signed = time.removeprefix("t=").encode() + b"." + call.raw
    expected = [hmac.new(key, signed, hashlib.sha256).hexdigest() for key in (b"new", b"old")]
    assert digests == [f"v1={digest}" for digest in expected]


async def test_nothing_is_signed_without_a_key(sdk: LangGraphClient) -> None:
    with receiving() as receiver:
        await told(sdk, receiver.url)
        assert "waystation-signature" not in (await calls_of(receiver))[0].headers


# --- redirects


async def test_redirect_keeps_method_and_body(tmp_path: Path) -> None:
    settings = replace(QUICK, headers={"X-Secret": "1"}, secrets=("key",))
    async with calling(tmp_path, webhooks=settings) as sdk:
        with receiving() as second, receiving((302, {"Location": "/next"}), (307, {"Location": second.url})) as first:
            thread_id, run_id = await told(sdk, first.url)
            await deliveries_of(sdk, thread_id, run_id)
            assert [call.path for call in first.calls] == ["/", "/next"]
            (call,) = second.calls
            assert (call.method, call.body["run_id"]) == ("POST", run_id)
            assert first.calls[1].headers["x-secret"] == "1"
            assert "x-secret" not in call.headers, "the secrets of one receiver are not for another"
            assert "waystation-signature" in call.headers


async def test_redirect_from_https_to_http(
    sdk: LangGraphClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, certificate = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with receiving() as open_to_all, receiving(tls=tls) as receiver:
        elsewhere = (307, {"Location": f"{receiver.url}/safe"})
        receiver.answers = [elsewhere, 200, (307, {"Location": open_to_all.url})]
        await deliveries_of(sdk, *await told(sdk, receiver.url))
        (delivery,) = await deliveries_of(sdk, *await told(sdk, receiver.url), "failed")
        assert "from https to http" in delivery["log"][0]["error"]
        assert (len(receiver.calls), open_to_all.calls) == (3, [])


async def test_endless_redirects_end(sdk: LangGraphClient) -> None:
    with receiving() as receiver:
        receiver.answer_to = lambda call: (302, {"Location": "/again"})
        thread_id, run_id = await told(sdk, receiver.url)
        (delivery,) = await deliveries_of(sdk, thread_id, run_id, "failed")
        assert len(receiver.calls) == 6
        assert delivery["log"][0]["error"] == "more than 5 redirects"


async def test_redirect_to_where_webhooks_may_not_go(sdk: LangGraphClient) -> None:
    with receiving((302, {"Location": "http://169.254.169.254/latest/meta-data"})) as receiver:
        thread_id, run_id = await told(sdk, receiver.url)
        (delivery,) = await deliveries_of(sdk, thread_id, run_id, "failed")
        assert "169.254.169.254" in delivery["log"][0]["error"]
        assert delivery["attempts"] == 1


# --- what survives


async def test_notice_that_was_not_delivered_is_delivered_by_the_next_server(tmp_path: Path) -> None:
    with receiving() as receiver:
        options: dict[str, Any] = {"webhooks": QUICK, "allow_private_urls": True}
        async with served(tmp_path, **options) as app, connected(app) as http:
            await app.state.server.deliverer.stop()
            await told(LangGraphClient(http), receiver.url)
            await LangGraphClient(http).runs.wait(None, "echo", input={"x": "a"}, webhook=receiver.url)
            assert receiver.calls == []
        async with calling(tmp_path):
            assert len({call.body["run_id"] for call in await calls_of(receiver, 2)}) == 2


async def test_killed_server_loses_no_notice(tmp_path: Path) -> None:
    """Killed when runs are settled and their receiver has not answered yet."""
    environ = {"WAYSTATION_ALLOW_PRIVATE_URLS": "1", "WAYSTATION_WEBHOOK_BACKOFF_SECS": "0.1"}
    server = ServerProcess(tmp_path, environ=environ)
    port = free_port()
    try:
        server.start()
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            sdk = LangGraphClient(http)
            runs = {(await told(sdk, f"http://127.0.0.1:{port}"))[1] for _ in range(5)}
        server.kill()
        await _end_leases(tmp_path)
        with receiving(port=port) as receiver:
            server.start()

            async def all_told() -> bool:
                return {call.body["run_id"] for call in receiver.calls} == runs

            await eventually(all_told, "all notices arriving")
    finally:
        server.kill()


async def _end_leases(data_dir: Path) -> None:
    """Let the time pass after which claims of a process that is no more are void: it may have been just delivering."""
    db, lock = open_database(project_config(data_dir))
    await db.write(_make_due)
    await db.close()
    if lock is not None:
        lock.close()


def _make_due(conn: Connection) -> None:
    conn.exec_driver_sql("UPDATE webhook_deliveries SET due_at = 1 WHERE due_at IS NOT NULL")


async def test_delivery_of_a_process_that_died_is_taken_over(tmp_path: Path) -> None:
    async with calling(tmp_path) as sdk:
        with receiving() as receiver:
            receiver.hold.clear()
            server = sdk.http.client._transport.app.state.server  # type: ignore[attr-defined]
            thread_id, run_id = await told(sdk, receiver.url)
            await calls_of(receiver)
            # What a kill leaves behind: the claim of a process that is no more, whose lease ends some time.
            await server.db.write(_make_due)
            other = Deliverer(server.db, QUICK, WebhookPolicy.of(server.config).urls, Tally())
            other.start()
            await calls_of(receiver, 2)
            receiver.hold.set()
            (delivery,) = await deliveries_of(sdk, thread_id, run_id)
            await other.stop()
            assert [entry["attempt"] for entry in delivery["log"]] == [2], (
                "the first attempt is not this process's any more"
            )


async def test_two_deliverers_send_each_notice_once(sdk: LangGraphClient) -> None:
    server = sdk.http.client._transport.app.state.server  # type: ignore[attr-defined]
    other = Deliverer(server.db, QUICK, WebhookPolicy.of(server.config).urls, Tally())
    other.start()
    with receiving() as receiver:
        runs = [await told(sdk, receiver.url) for _ in range(20)]
        for thread_id, run_id in runs:
            other.wake()
            await deliveries_of(sdk, thread_id, run_id)
        assert sorted(call.body["run_id"] for call in receiver.calls) == sorted(run_id for _, run_id in runs)
    await other.stop()


async def test_stopping_server_leaves_its_deliveries_to_others(tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.hold.clear()
        async with calling(tmp_path) as sdk:
            thread_id, run_id = await told(sdk, receiver.url)
            await calls_of(receiver)
        receiver.hold.set()
        async with calling(tmp_path) as sdk:
            await deliveries_of(sdk, thread_id, run_id)
            assert len(receiver.calls) == 2


async def test_old_deliveries_are_forgotten(sdk: LangGraphClient) -> None:
    server = sdk.http.client._transport.app.state.server  # type: ignore[attr-defined]
    with receiving() as receiver:
        thread_id, run_id = await told(sdk, receiver.url)
        await deliveries_of(sdk, thread_id, run_id)
        assert [each async for each in sweep_deliveries(server.db, log_days=1)] == []
        assert [each async for each in sweep_deliveries(server.db, log_days=-1)] == [1]
        assert await sdk.http.get(f"/threads/{thread_id}/runs/{run_id}/webhooks") == []
        assert await server.db.read(outbox.next_due_at, local=True) is None


# --- what becomes of it, over HTTP


async def test_log_of_nothing(sdk: LangGraphClient) -> None:
    thread = await sdk.threads.create()
    run = await sdk.runs.create(thread["thread_id"], "echo", input={"x": "a"})
    client: httpx.AsyncClient = sdk.http.client
    assert (await client.get(f"/threads/{thread['thread_id']}/runs/{run['run_id']}/webhooks")).json() == []
    assert (await client.get(f"/threads/{run['run_id']}/runs/{run['run_id']}/webhooks")).status_code == 404
    assert (await client.get("/threads/x/runs/y/webhooks")).status_code == 422


# --- webhooks that are switched off, or refused


async def test_switched_off_webhooks_are_accepted_and_not_sent(tmp_path: Path) -> None:
    with receiving() as receiver:
        async with calling(tmp_path, http=HttpConfig(disable_webhooks=True)) as sdk:
            thread_id, run_id = await told(sdk, receiver.url)
            run: Any = await sdk.runs.get(thread_id, run_id)
            assert run["kwargs"]["webhook"] is None
            assert await sdk.http.get(f"/threads/{thread_id}/runs/{run_id}/webhooks") == []
            document = (await sdk.http.client.get("/openapi.json")).text
            assert '"webhook"' not in document
        assert receiver.calls == []


@pytest.mark.parametrize("url", ["/hook", "//127.0.0.1/hook", "hook", "", "http://127.0.0.1/", "ftp://example.com/"])
async def test_refused_at_creation(tmp_path: Path, url: str) -> None:
    async with served(tmp_path) as app, connected(app) as http:
        for path in ("/runs", "/runs/wait", "/runs/stream"):
            response = await http.post(path, json={"assistant_id": "echo", "input": {"x": "a"}, "webhook": url})
            assert (response.status_code, list(response.json())) == (422, ["detail"])
        response = await http.post("/runs/batch", json=[{"assistant_id": "echo", "input": {"x": "a"}, "webhook": url}])
        assert response.status_code == 422
        assert (await http.post("/threads/search", json={})).json() == []


async def test_signature_is_checked_as_the_documentation_says(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    shown: dict[str, Any] = {}
    exec(text.partition("```python\n")[2].partition("```")[0], shown)
    async with calling(tmp_path, webhooks=replace(QUICK, secrets=("new", "old"))) as sdk:
        with receiving() as receiver:
            await told(sdk, receiver.url)
            call = (await calls_of(receiver))[0]
    header = call.headers["waystation-signature"]
    assert shown["is_genuine"]("new", header, call.raw)
    assert shown["is_genuine"]("old", header, call.raw)
    assert not shown["is_genuine"]("wrong", header, call.raw)
    assert not shown["is_genuine"]("new", header, call.raw + b" ")
    assert not shown["is_genuine"]("new", header, call.raw, tolerance_s=-1)
