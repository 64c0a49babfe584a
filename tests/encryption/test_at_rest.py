"""With a key nothing that a user has said is in the database, and every route shows it all the same."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.driver import eventually
from tests.encryption.conftest import SECRET_KEYS, encrypting, tables_with
from tests.encryption.given import by_tenant, configured
from tests.webhooks.receiver import Call, Receiver, receiving
from waystation.config import EncryptionConfig, WebhookConfig

SAID = "what-the-user-said"

LABEL = "a-label-to-search-by"

TO_AGENT = "/agent"
"""Where the push notifications of an A2A task go, next to the webhook of a run."""

PATIENT = WebhookConfig(backoff_s=600)
"""What could not be delivered stays where it is."""

HOLDING = {
    "assistants",
    "assistant_versions",
    "threads",
    "runs",
    "events",
    "crons",
    "webhook_deliveries",
    "a2a_tasks",
    "store_items",
    "checkpoint_values",
    "checkpoint_writes",
}
"""Tables that hold what users say, when it is not encrypted. (Longer pieces of checkpoints are compressed, and hide it anyway.)"""


async def say_it_everywhere(sdk: LangGraphClient, receiver: Receiver) -> dict[str, Any]:
    """Put `SAID` into every kind of object; returns their ids. `receiver` answers the webhook of a run, as it was told to."""
    webhook = receiver.url
    receiver.answer_to = lambda call: 200 if call.path == TO_AGENT else None
    labels = {"secret": SAID, "label": LABEL, "nested": [{"secret": {"deep": SAID}}]}
    assistant = await sdk.assistants.create("noting", metadata=labels, context={"b": SAID}, name="named")
    await sdk.assistants.update(assistant["assistant_id"], config={"configurable": {"a": SAID}})
    thread = (await sdk.threads.create(metadata=labels))["thread_id"]
    run = await sdk.runs.create(
        thread,
        assistant["assistant_id"],
        input={"x": SAID},
        metadata={"said": SAID},
        config={"configurable": {"c": SAID}},
        stream_resumable=True,
        webhook=webhook,
    )
    await sdk.runs.join(thread, run["run_id"])
    await sdk.threads.update_state(thread, {"log": [SAID]})
    asking = (await sdk.threads.create())["thread_id"]
    await sdk.runs.wait(asking, "asking", input={"x": SAID})
    failing = (await sdk.threads.create())["thread_id"]
    await sdk.runs.wait(failing, "failing", input={"x": SAID}, raise_error=False)
    later = await sdk.runs.create(failing, "noting", input={"x": SAID}, after_seconds=3600)
    cron: Any = await sdk.crons.create_for_thread(
        asking, "noting", schedule="0 0 1 1 *", input={"x": SAID}, metadata=labels, config={"configurable": {"d": SAID}}
    )
    await sdk.store.put_item(["items"], "item", {"secret": SAID, "label": LABEL}, index=False)
    await sdk.store.put_item(["items"], "item", {"secret": [SAID], "label": LABEL}, index=False)
    to_agent: Any = await sdk.http.post(
        f"/a2a/{assistant['assistant_id']}",
        json={
            "jsonrpc": "2.0",
            "id": "1",
            "method": "message/send",
            "params": {
                "message": {"role": "user", "messageId": "m", "parts": [{"kind": "data", "data": {"x": SAID}}]},
                "configuration": {"pushNotificationConfig": {"url": webhook + TO_AGENT, "token": SAID}},
            },
        },
    )
    assert to_agent["result"]["status"]["state"] == "completed"
    copied: Any = await sdk.http.post(f"/threads/{thread}/copy", json=None)
    return {
        "assistant": assistant["assistant_id"],
        "thread": thread,
        "run": run["run_id"],
        "asking": asking,
        "failing": failing,
        "later": later["run_id"],
        "cron": cron["cron_id"],
        "copy": copied["thread_id"],
    }


async def attempts_of_webhook(receiver: Receiver, count: int = 2) -> list[Call]:
    """What was sent to the webhook of the run, once that is `count` requests."""

    def sent() -> list[Call]:
        return [call for call in receiver.calls if call.path != TO_AGENT]

    async def enough() -> bool:
        return len(sent()) >= count

    await eventually(enough, f"{count} attempts of the webhook")
    return sent()


async def test_nothing_said_is_stored_in_the_clear(tmp_path: Path) -> None:
    with receiving(500) as receiver:
        async with encrypting(tmp_path, SECRET_KEYS, webhooks=PATIENT) as sdk:
            await say_it_everywhere(sdk, receiver)
            assert tables_with(tmp_path, SAID) == set()
            assert {"threads", "assistants", "crons", "store_items"} <= tables_with(tmp_path, LABEL)
    assert tables_with(tmp_path, SAID) == set()


async def test_without_a_key_all_of_it_is(tmp_path: Path) -> None:
    """The scan finds what there is to find."""
    with receiving(500) as receiver:
        async with encrypting(tmp_path, None, webhooks=PATIENT) as sdk:
            await say_it_everywhere(sdk, receiver)
            assert tables_with(tmp_path, SAID) >= HOLDING


async def test_every_route_shows_what_was_said(tmp_path: Path) -> None:
    with receiving(500) as receiver:
        async with encrypting(tmp_path, SECRET_KEYS) as sdk:
            ids = await say_it_everywhere(sdk, receiver)
            thread, labels = ids["thread"], {"secret": SAID, "label": LABEL, "nested": [{"secret": {"deep": SAID}}]}

            shown: Any = await sdk.threads.get(thread)
            assert labels.items() <= shown["metadata"].items()
            assert shown["values"] == {"x": SAID, "log": [SAID, SAID]}
            assert shown["config"]["configurable"]["a"] == SAID
            found: Any = (await sdk.threads.search(metadata={"label": LABEL}, limit=1))[0]
            assert found["metadata"]["secret"] == SAID
            picked: Any = await sdk.http.post(
                "/threads/search", json={"ids": [thread], "extract": {"last": "values.log[-1]"}}
            )
            assert picked[0]["extracted"] == {"last": SAID}
            patched: Any = await sdk.threads.update(thread, metadata={"more": 1})
            assert patched["metadata"]["secret"] == SAID
            assert (await sdk.threads.get_state(thread))["values"] == shown["values"]
            history: Any = await sdk.threads.get_history(thread)
            assert [state["values"].get("x") for state in history[:-1]] == [SAID] * (len(history) - 1)
            assert (await sdk.threads.get_state(ids["copy"]))["values"] == shown["values"]

            run: Any = await sdk.runs.get(thread, ids["run"])
            assert (run["kwargs"]["input"], run["metadata"]["said"]) == ({"x": SAID}, SAID)
            assert run["kwargs"]["config"]["configurable"]["c"] == SAID
            assert run["kwargs"]["context"]["c"] == SAID
            [waiting] = [each for each in await sdk.runs.list(ids["failing"]) if each["run_id"] == ids["later"]]
            assert waiting["kwargs"]["input"] == {"x": SAID}  # type: ignore[typeddict-item]
            replayed = [part async for part in sdk.runs.join_stream(thread, ids["run"], last_event_id="-1")]
            assert any(SAID in str(part.data) for part in replayed)

            asked: Any = await sdk.threads.get(ids["asking"])
            assert [i["value"] for each in asked["interrupts"].values() for i in each] == [{"question": SAID}]
            failed: Any = await sdk.threads.get(ids["failing"])
            assert failed["error"]["message"] == SAID
            await sdk.runs.wait(ids["asking"], "asking", command={"resume": "yes"})
            assert (await sdk.threads.get_state(ids["asking"]))["values"]["log"] == ["yes"]  # type: ignore[call-overload]

            cron: Any = await sdk.http.get(f"/runs/crons/{ids['cron']}")
            assert (cron["payload"]["input"], cron["metadata"]) == ({"x": SAID}, labels)
            await sdk.crons.update(ids["cron"], metadata={"more": 1})
            [cron] = await sdk.crons.search()
            assert cron["metadata"] == {**labels, "more": 1}
            assert cron["payload"]["config"]["configurable"]["d"] == SAID

            versions: Any = await sdk.assistants.get_versions(ids["assistant"])
            assert [each["metadata"]["secret"] for each in versions] == [SAID, SAID]
            assert versions[1]["context"] == {"b": SAID}
            assert (await sdk.assistants.get(ids["assistant"]))["config"]["configurable"] == {"a": SAID}

            assert (await sdk.store.get_item(["items"], "item"))["value"] == {"secret": [SAID], "label": LABEL}
            [item] = (await sdk.store.search_items(["items"], filter={"label": LABEL}))["items"]
            assert item["value"]["secret"] == [SAID]

            (_, again) = await attempts_of_webhook(receiver)
            assert again.body["values"]["x"] == SAID
            assert again.body["kwargs"]["input"] == {"x": SAID}


async def test_values_stay_searchable_if_asked_for(tmp_path: Path) -> None:
    settings = EncryptionConfig(aes_key=SECRET_KEYS.aes_key, json_keys=("log",), searchable_values=True)
    async with encrypting(tmp_path, settings) as sdk:
        thread = (await sdk.threads.create())["thread_id"]
        await sdk.runs.wait(thread, "noting", input={"x": LABEL, "log": [SAID]})  # type: ignore[dict-item]
        found: Any = (await sdk.threads.search(values={"x": LABEL}))[0]
        assert found["values"] == {"x": LABEL, "log": [SAID, LABEL]}
        assert "threads" in tables_with(tmp_path, LABEL)
        assert tables_with(tmp_path, SAID) == set()


@pytest.mark.parametrize("text", ["waystation:aes:1:", "waystation:aes:1:AAAA", "waystation:aes:1:" + "A" * 80])
@pytest.mark.parametrize(
    "encryption",
    [
        lambda: SECRET_KEYS,
        lambda: EncryptionConfig(old_keys=(b"o" * 16,)),
        lambda: configured(by_tenant(), old_keys=(b"o" * 16,)),
    ],
    ids=["key", "old key", "handlers"],
)
async def test_words_that_look_encrypted_are_only_words(tmp_path: Path, text: str, encryption: Any) -> None:
    async with encrypting(tmp_path, encryption()) as sdk:
        sdk.http.client.headers["X-Encryption-Context"] = base64.b64encode(b'{"tenant": "acme"}').decode()
        thread: Any = await sdk.threads.create(metadata={"a": text, "b": [{"c": text}], "secret": text})
        shown = await sdk.threads.get(thread["thread_id"])
        assert shown["metadata"] == {"a": text, "b": [{"c": text}], "secret": text}
        await sdk.store.put_item(["items"], "item", {"a": text}, index=False)
        assert (await sdk.store.get_item(["items"], "item"))["value"] == {"a": text}
        only: Any = await sdk.threads.create(metadata={"created_by": text})
        assert (await sdk.http.get(f"/threads/{only['thread_id']}"))["metadata"] == {"created_by": text}
        await sdk.runs.wait(thread["thread_id"], "noting", input={"x": text}, config={"configurable": {"c": text}})
        after: Any = await sdk.threads.get(thread["thread_id"])
        assert after["values"] == {"x": text, "log": [text]}
        run: Any = (await sdk.runs.list(thread["thread_id"]))[0]
        assert (run["kwargs"]["input"], run["kwargs"]["config"]["configurable"]["c"]) == ({"x": text}, text)
        body = {"assistant_id": "noting", "input": text, "feedback_keys": [text], "after_seconds": 60}
        whole: Any = await sdk.http.post("/runs", json=body)
        shown = await sdk.http.get(f"/threads/{whole['thread_id']}/runs/{whole['run_id']}")
        assert (shown["kwargs"]["input"], shown["kwargs"]["feedback_keys"]) == (text, [text])
