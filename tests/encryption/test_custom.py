"""Encryption by handlers of the project: everything goes through them, in the context of the request that it came with."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import warnings
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from langgraph_sdk import Auth
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.encryption.types import DecryptResult
from starlette.applications import Starlette

from tests.auth.given import configured as authenticated
from tests.conftest import connected, project_config, served
from tests.crons.conftest import EVERY_SECOND
from tests.driver import eventually
from tests.encryption.conftest import GRAPHS, KEY, encrypting, tables_with
from tests.encryption.given import MARK, by_tenant, configured, empty
from tests.encryption.test_at_rest import LABEL, SAID, attempts_of_webhook, say_it_everywhere
from tests.gate import Gate
from tests.live import listening
from tests.webhooks.receiver import receiving
from waystation.app import create_app
from waystation.config import EncryptionConfig
from waystation.config.model import GraphSpec
from waystation.errors import ConfigError

HEADER = "X-Encryption-Context"


def context(**values: Any) -> str:
    return base64.b64encode(json.dumps(values).encode()).decode()


def of_tenant(sdk: LangGraphClient, tenant: str) -> LangGraphClient:
    """The same client, all of whose requests are of this tenant."""
    sdk.http.client.headers[HEADER] = context(tenant=tenant)
    return sdk


async def test_nothing_said_is_stored_in_the_clear(tmp_path: Path) -> None:
    with receiving(500) as receiver:
        async with encrypting(tmp_path, configured(by_tenant())) as client:
            sdk = of_tenant(client, "acme")
            ids = await say_it_everywhere(sdk, receiver)
            assert tables_with(tmp_path, SAID) == set()
            assert {"threads", "runs", "assistants", "crons", "store_items"} <= tables_with(tmp_path, MARK)

            shown: Any = await sdk.threads.get(ids["thread"])
            assert shown["metadata"]["nested"] == [{"secret": {"deep": SAID}}]
            assert shown["values"] == {"x": SAID, "log": [SAID, SAID]}
            found: Any = (await sdk.threads.search(metadata={"label": LABEL}, limit=1))[0]
            assert found["metadata"]["secret"] == SAID
            run: Any = await sdk.runs.get(ids["thread"], ids["run"])
            assert (run["kwargs"]["input"], run["metadata"]["said"]) == ({"x": SAID}, SAID)
            assert "encryption_context" not in run["kwargs"]
            replayed = [part async for part in sdk.runs.join_stream(ids["thread"], ids["run"], last_event_id="-1")]
            assert any(SAID in str(part.data) for part in replayed)
            cron: Any = await sdk.http.get(f"/runs/crons/{ids['cron']}")
            assert cron["payload"]["input"] == {"x": SAID}
            assert (await sdk.store.get_item(["items"], "item"))["value"]["secret"] == [SAID]
            assert len(await sdk.threads.get_history(ids["copy"])) > 1

            (_, again) = await attempts_of_webhook(receiver)
            assert again.body["values"]["x"] == SAID
            assert "encryption_context" not in again.body["kwargs"]


async def test_reading_needs_no_header(tmp_path: Path) -> None:
    """What is stored has its context beside it."""
    async with encrypting(tmp_path, configured(by_tenant())) as sdk:
        thread: Any = await of_tenant(sdk, "acme").threads.create(metadata={"secret": SAID})
        other: Any = await of_tenant(sdk, "other").threads.create(metadata={"secret": "theirs"})
        del sdk.http.client.headers[HEADER]
        for thread_id, secret in ((thread["thread_id"], SAID), (other["thread_id"], "theirs")):
            shown: Any = await sdk.threads.get(thread_id)
            assert shown["metadata"]["secret"] == secret


async def test_a_run_is_executed_in_its_context_by_whichever_process_has_it(tmp_path: Path) -> None:
    seen: list[tuple[str, str | None, str | None]] = []
    settings = configured(by_tenant(seen))
    async with encrypting(tmp_path, settings, jobs_per_worker=0) as sdk:
        thread: Any = await of_tenant(sdk, "acme").threads.create()
        run = await sdk.runs.create(thread["thread_id"], "noting", input={"x": SAID}, stream_resumable=True)
    seen.clear()

    async with encrypting(tmp_path, settings) as sdk:
        await sdk.runs.join(thread["thread_id"], run["run_id"])
        values: Any = (await sdk.threads.get_state(thread["thread_id"]))["values"]
        assert values["log"] == [SAID]
        assert {tenant for _, _, tenant in seen} == {"acme"}
        assert {("checkpoint", "blob"), ("run", "event"), ("thread", "values")} <= {each[:2] for each in seen}


async def test_runs_of_two_tenants_side_by_side_keep_their_contexts(tmp_path: Path) -> None:
    async def use(app: Starlette, tenant: str) -> None:
        async with connected(app) as http:
            sdk = of_tenant(LangGraphClient(http), tenant)
            for number in range(5):
                thread: Any = await sdk.threads.create(metadata={"of": tenant})
                await sdk.runs.wait(thread["thread_id"], "noting", input={"x": f"{tenant}-{number}"})
                shown: Any = await sdk.threads.get(thread["thread_id"])
                assert shown["values"]["log"] == [f"{tenant}-{number}"]

    settings: dict[str, Any] = {"encryption": configured(by_tenant()), "graphs": GRAPHS}
    async with served(tmp_path, **settings) as app:
        await asyncio.gather(*(use(app, f"tenant{number}") for number in range(8)))


async def test_a_cron_fires_in_the_context_of_whoever_made_it(tmp_path: Path) -> None:
    async with encrypting(tmp_path, configured(by_tenant())) as sdk:
        thread: Any = await of_tenant(sdk, "acme").threads.create()
        cron: Any = await sdk.crons.create_for_thread(
            thread["thread_id"], "noting", schedule=EVERY_SECOND, input={"x": SAID}
        )
        del sdk.http.client.headers[HEADER]

        async def ended() -> bool:
            runs: Any = await sdk.runs.list(thread["thread_id"])
            return any(run["status"] == "success" for run in runs)

        await eventually(ended, "a run of the cron")
        await sdk.crons.delete(cron["cron_id"])
        assert tables_with(tmp_path, SAID) == set()


async def test_a_run_without_a_context_gets_none_from_the_run_before(tmp_path: Path, gate: Gate) -> None:
    """Whoever frees the slot starts the next run."""
    given, tenants = empty(), []

    @given.encrypt.blob
    async def encrypt(ctx: Any, blob: bytes) -> bytes:
        tenants.append(ctx.metadata.get("tenant"))
        return blob

    @given.decrypt.blob
    async def decrypt(ctx: Any, blob: bytes) -> bytes:
        return blob

    graphs = {**GRAPHS, "gated": GraphSpec("gated", "./engine_graphs.py:gated")}
    async with encrypting(tmp_path, configured(given), graphs=graphs, jobs_per_worker=1) as sdk:
        first: Any = await of_tenant(sdk, "acme").threads.create()
        await sdk.runs.create(first["thread_id"], "gated", input=gate.state)
        await gate.reached()
        del sdk.http.client.headers[HEADER]
        second: Any = await sdk.threads.create()
        run = await sdk.runs.create(second["thread_id"], "noting", input={"x": "a"})
        gate.open()
        await sdk.runs.join(second["thread_id"], run["run_id"])
        assert tenants[0] == "acme"
        assert tenants[-1] is None


async def test_a_run_is_cancelled_in_its_own_context(tmp_path: Path) -> None:
    """Its webhook tells of what only its context encrypts, whoever cancels it."""
    seen: list[tuple[str, str | None, str | None]] = []
    async with encrypting(tmp_path, configured(by_tenant(seen)), jobs_per_worker=0) as sdk:
        thread: Any = await of_tenant(sdk, "acme").threads.create()
        run = await sdk.runs.create(
            thread["thread_id"], "noting", input={"x": SAID}, webhook="http://127.0.0.1:9/hook", after_seconds=60
        )
        del sdk.http.client.headers[HEADER]
        seen.clear()
        await sdk.runs.cancel(thread["thread_id"], run["run_id"])
        assert ("webhook", "body", "acme") in seen


@pytest.mark.parametrize("header", ["%%%", "bm8=", base64.b64encode(b"[1]").decode()])
async def test_a_malformed_header_is_refused(tmp_path: Path, header: str) -> None:
    async with encrypting(tmp_path, configured(by_tenant())) as sdk:
        answer = await sdk.http.client.post("/threads", json={}, headers={HEADER: header})
        assert (answer.status_code, HEADER in answer.json()["detail"]) == (422, True)


async def test_the_context_can_follow_from_the_user(tmp_path: Path) -> None:
    encryption, auth = by_tenant(), Auth()

    @encryption.context
    async def of_user(user: Any, ctx: Any) -> dict[str, Any]:
        return {**ctx.metadata, "tenant": user.identity}

    @auth.authenticate
    async def authenticate(headers: dict[bytes, bytes]) -> str:
        return headers[b"x-user"].decode()

    settings: dict[str, Any] = {"encryption": configured(encryption), "auth": authenticated(auth), "graphs": GRAPHS}
    async with served(tmp_path, **settings) as app, connected(app) as http:
        http.headers["x-user"] = "anna"
        sdk = LangGraphClient(http)
        thread: Any = await sdk.threads.create(metadata={"secret": SAID})
        assert tables_with(tmp_path, f"{MARK}anna:") >= {"threads"}
        shown: Any = await sdk.threads.get(thread["thread_id"])
        assert shown["metadata"]["secret"] == SAID


async def test_a_filter_on_what_handlers_encrypt_is_refused(tmp_path: Path) -> None:
    async with encrypting(tmp_path, configured(by_tenant())) as client:
        sdk = of_tenant(client, "acme")
        await sdk.threads.create(metadata={"secret": "s", "label": "l"})
        assert len(await sdk.threads.search(metadata={"label": "l"})) == 1
        with pytest.raises(httpx.HTTPStatusError) as refusal:
            await sdk.threads.search(metadata={"secret": "s"})
        assert refusal.value.response.status_code == 422


# --- handlers that do wrong


def keeping_no_keys() -> Any:
    given = empty()

    @given.encrypt.json
    async def encrypt(ctx: Any, data: dict[str, Any]) -> dict[str, Any]:
        return {"all": str(data)}

    @given.decrypt.json
    async def decrypt(ctx: Any, data: dict[str, Any]) -> dict[str, Any]:
        return data

    return given


def failing() -> Any:
    given = empty()

    @given.encrypt.json
    async def encrypt(ctx: Any, data: dict[str, Any]) -> dict[str, Any]:
        raise ConnectionError("the key service is away")

    @given.decrypt.json
    async def decrypt(ctx: Any, data: dict[str, Any]) -> dict[str, Any]:
        return data

    return given


def never_ending() -> Any:
    given = empty()

    @given.encrypt.json
    async def encrypt(ctx: Any, data: dict[str, Any]) -> dict[str, Any]:
        await asyncio.Event().wait()
        return data

    @given.decrypt.json
    async def decrypt(ctx: Any, data: dict[str, Any]) -> dict[str, Any]:
        return data

    return given


@pytest.mark.parametrize(
    ("encryption", "told"),
    [
        (keeping_no_keys, "must keep the keys of thread.metadata"),
        (failing, "The encryption handler encrypt.json failed."),
        (never_ending, "took longer than"),
    ],
)
async def test_a_handler_that_does_wrong_is_an_error_that_stores_nothing(
    tmp_path: Path, encryption: Any, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waystation.encryption.handlers.HANDLER_S", 0.2)
    async with encrypting(tmp_path, configured(encryption())) as sdk:
        answer = await sdk.http.client.post("/threads", json={"metadata": {"secret": SAID}})
        assert answer.status_code == 500
        assert told in answer.json()["detail"]
        assert SAID not in answer.text
        assert await sdk.threads.search() == []
        await sdk.threads.create()  # has nothing to encrypt


async def test_a_handler_may_ask_the_server_that_waits_for_it(tmp_path: Path) -> None:
    """No event loop of the server waits for a handler."""
    given, url = empty(), ""

    @given.encrypt.json
    async def encrypt(ctx: Any, data: dict[str, Any]) -> dict[str, Any]:
        async with httpx.AsyncClient(verify=False) as client:
            assert (await client.get(f"{url}/ok")).status_code == 200
        return data

    @given.decrypt.json
    async def decrypt(ctx: Any, data: dict[str, Any]) -> dict[str, Any]:
        async with httpx.AsyncClient(verify=False) as client:
            assert (await client.get(f"{url}/ok")).status_code == 200
        return data

    app = create_app(project_config(tmp_path, encryption=configured(given), graphs={}))
    with listening(app) as server:
        url = server.url
        async with httpx.AsyncClient(base_url=url, verify=False, timeout=30) as client:
            answer = await client.post("/threads", json={"metadata": {"label": "l"}})
            assert answer.status_code == 200, answer.text
            answer = await client.get(f"/threads/{answer.json()['thread_id']}")
            assert answer.json()["metadata"] == {"label": "l"}


async def test_a_handler_that_waits_for_the_writer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the server to write something, which has to wait until the handler has answered."""
    monkeypatch.setattr("waystation.encryption.handlers.HANDLER_S", 0.5)
    given, url = empty(), ""

    @given.encrypt.json
    async def encrypt(ctx: Any, data: dict[str, Any]) -> dict[str, Any]:
        if "again" in data:
            async with httpx.AsyncClient(verify=False) as client:
                await client.post(f"{url}/threads", json={"metadata": {"label": "from the handler"}})
        return data

    @given.decrypt.json
    async def decrypt(ctx: Any, data: dict[str, Any]) -> dict[str, Any]:
        return data

    with listening(create_app(project_config(tmp_path, encryption=configured(given)))) as server:
        url = server.url
        async with httpx.AsyncClient(base_url=url, verify=False, timeout=30) as client:
            answer = await client.post("/threads", json={"metadata": {"again": 1}})
            assert (answer.status_code, "took longer" in answer.text) == (500, True)
            assert (await client.post("/threads", json={"metadata": {"label": "l"}})).status_code == 200


async def test_what_the_server_needs_stays_in_the_clear(tmp_path: Path) -> None:
    given: dict[str, set[str]] = {}
    encryption = empty()

    @encryption.encrypt.json
    async def encrypt(ctx: Any, data: dict[str, Any]) -> dict[str, Any]:
        given.setdefault(f"{ctx.model}.{ctx.field}", set()).update(data)
        return data

    @encryption.decrypt.json
    async def decrypt(ctx: Any, data: dict[str, Any]) -> dict[str, Any]:
        return data

    async with encrypting(tmp_path, configured(encryption)) as sdk:
        thread: Any = await sdk.threads.create(metadata={"mine": 1})
        await sdk.runs.wait(
            thread["thread_id"], "noting", input={"x": "a"}, config={"tags": ["t"], "configurable": {"c": 1}}
        )
    assert given["thread.metadata"] == {"mine"}
    assert given["run.input"] == {"x"}
    assert {"c", "mine"} <= given["run.config"]
    assert not given["run.config"] & {"tags", "graph_id", "thread_id", "assistant_id", "recursion_limit"}


@pytest.mark.parametrize(
    "words",
    [
        {"metadata": SAID, "thread_id": SAID, "tags": [SAID], "__own": SAID},
        {"__encrypted_value__": SAID},
        {"__encrypted_value__": SAID, "a": 1},
    ],
)
async def test_no_word_of_a_user_passes_for_the_servers(tmp_path: Path, words: dict[str, Any]) -> None:
    async with encrypting(tmp_path, configured(by_tenant())) as client:
        sdk = of_tenant(client, "acme")
        marked = {**words, "__encryption_context__": {"tenant": "other"}}
        await sdk.store.put_item(["a"], "k", marked, index=False)
        assert (await sdk.store.get_item(["a"], "k"))["value"] == words
        thread: Any = await sdk.threads.create(metadata=marked)
        shown: Any = await sdk.threads.get(thread["thread_id"])
        assert shown["metadata"] == {key: value for key, value in words.items() if key != "thread_id"}
        run: Any = await sdk.runs.create(
            thread["thread_id"], "noting", input={"x": SAID}, config={"configurable": words}
        )
        await sdk.runs.join(thread["thread_id"], run["run_id"])
        assert tables_with(tmp_path, SAID) == set()


async def test_replacements_give_the_plaintext(tmp_path: Path) -> None:
    given = empty()

    @given.encrypt.blob
    async def encrypt(ctx: Any, blob: bytes) -> bytes:
        return blob[::-1]

    @given.decrypt.blob
    async def decrypt(ctx: Any, blob: bytes) -> DecryptResult[bytes]:
        return DecryptResult(blob[::-1], replacement=blob)

    async with encrypting(tmp_path, configured(given, aes_key=KEY)) as sdk:
        thread: Any = await sdk.threads.create()
        await sdk.runs.wait(thread["thread_id"], "noting", input={"x": SAID})
        values: Any = (await sdk.threads.get_state(thread["thread_id"]))["values"]
        assert values["log"] == [SAID]
        assert tables_with(tmp_path, SAID) == set()  # the key does what there is no handler for
        assert "checkpoint_values" in tables_with(tmp_path, SAID[::-1])


def test_handlers_come_in_pairs(tmp_path: Path) -> None:
    given = empty()

    @given.encrypt.blob
    async def encrypt(ctx: Any, blob: bytes) -> bytes:
        return blob

    with pytest.raises(ConfigError, match=r"none for decrypt\.blob"):
        create_app(project_config(tmp_path, encryption=configured(given)))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (lambda: configured(empty()), "no handlers"),
        (lambda: configured("no encryption"), "must be a langgraph_sdk.Encryption object"),
        (lambda: EncryptionConfig("tests.encryption.given:missing"), "there is no such variable"),
        (lambda: configured(by_tenant(), aes_key=KEY, json_keys=("a",)), "LANGGRAPH_AES_JSON_KEYS has no effect"),
        (lambda: EncryptionConfig(aes_key=KEY, json_keys=("a", "thread_id")), "thread_id cannot be encrypted"),
    ],
)
def test_settings_that_cannot_be_used_stop_the_start(tmp_path: Path, settings: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        create_app(project_config(tmp_path, encryption=settings()))


async def test_the_example_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "encryption.md").read_text("utf-8")
    [example] = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "encrypt.blob" in block]
    found: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is in beta
        exec(example, found)
    monkeypatch.setenv("KEY_OF_ACME", Fernet.generate_key().decode())

    async with encrypting(tmp_path, configured(found["encryption"])) as client:
        sdk = of_tenant(client, "acme")
        thread: Any = await sdk.threads.create(metadata={"label": LABEL, "secret": SAID})
        await sdk.runs.wait(thread["thread_id"], "noting", input={"x": SAID})
        assert tables_with(tmp_path, SAID) == set()
        [shown] = await sdk.threads.search(metadata={"label": LABEL})
        assert (shown["metadata"]["secret"], shown["values"]["log"]) == (SAID, [SAID])  # type: ignore[index]


async def test_an_input_that_is_no_object_is_encrypted_as_well(tmp_path: Path) -> None:
    async with encrypting(tmp_path, configured(by_tenant()), jobs_per_worker=0) as client:
        sdk = of_tenant(client, "acme")
        thread: Any = await sdk.threads.create()
        run: Any = await sdk.runs.create(thread["thread_id"], "noting", input=[SAID])  # type: ignore[call-overload]
        assert (await sdk.runs.get(thread["thread_id"], run["run_id"]))["kwargs"]["input"] == [SAID]  # type: ignore[typeddict-item]
        assert tables_with(tmp_path, SAID) == set()
