"""Nobody sees, continues, cancels or deletes what is somebody else's, by OpenAI's API or by AG-UI: neither where the project's
handlers keep users apart nor where API keys keep workspaces apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from openai import AuthenticationError, DefaultHttpxClient, NotFoundError, OpenAI

from tests.agui.front_end import of, read
from tests.auth.given import configured
from tests.auth.owners import owners
from tests.conftest import project_config
from tests.contract.test_isolation import Parties
from tests.live import listening
from waystation.app import create_app

SECRET = "the-secret-of-the-owner"


@pytest.fixture(scope="module", params=["handlers", "api keys"])
def parties(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    settings: dict[str, Any] = {"api_keys": True} if request.param == "api keys" else {"auth": configured(owners())}
    with listening(create_app(project_config(tmp_path_factory.mktemp("isolation"), **settings))) as server:
        yield Parties(server, request.param)


def client_of(http: httpx.Client) -> OpenAI:
    """The official client with the credentials of `http`: a key of the server is the client's API key."""
    key = http.headers.get("x-api-key", "none")
    others = {name: value for name, value in http.headers.items() if name == "x-user"}
    url = f"{http.base_url}v1" if str(http.base_url).endswith("/") else f"{http.base_url}/v1"
    return OpenAI(
        api_key=key, base_url=url, default_headers=others, max_retries=0, http_client=DefaultHttpxClient(verify=False)
    )


def given(thread_id: str, *texts: str, **fields: Any) -> dict[str, Any]:
    messages = [{"id": str(uuid4()), "role": "user", "content": text} for text in texts]
    return {"threadId": thread_id, "runId": str(uuid4()), "messages": messages, **fields}


def test_responses_of_others(parties: Parties) -> None:
    with parties.stranger() as one, parties.stranger() as two, client_of(one) as owner, client_of(two) as other:
        made = owner.responses.create(model="helper", input=SECRET)
        running = owner.responses.create(model="slow_chat", input="1000", background=True)
        thread = one.post("/threads", json={}).raise_for_status().json()["thread_id"]
        for response_id in (made.id, running.id, f"resp_{uuid4().hex}"):
            for refused in (
                lambda found=response_id: other.responses.retrieve(found),
                lambda found=response_id: other.responses.cancel(found),
                lambda found=response_id: other.responses.delete(found),
                lambda found=response_id: list(other.responses.input_items.list(found)),
                lambda found=response_id: other.responses.retrieve(found, stream=True),
                lambda found=response_id: other.responses.create(model="helper", input="x", previous_response_id=found),
            ):
                with pytest.raises(NotFoundError) as error:
                    refused()
                assert SECRET not in str(error.value)
        with pytest.raises(NotFoundError):
            other.responses.create(model="helper", input="x", conversation=thread)

        assert owner.responses.retrieve(made.id).output_text == f"{SECRET} "
        assert owner.responses.retrieve(running.id).status in ("queued", "in_progress")
        owner.responses.cancel(running.id)
        assert owner.responses.create(model="helper", input="x", conversation=thread).output_text == "x "


def test_models_of_others(parties: Parties) -> None:
    with parties.stranger() as one, parties.stranger() as two, client_of(one) as owner, client_of(two) as other:
        body = {"graph_id": "helper", "name": SECRET}
        assistant = one.post("/assistants", json=body).raise_for_status().json()["assistant_id"]
        assert SECRET in [model.id for model in owner.models.list()]
        assert owner.responses.create(model=SECRET, input="x").output_text == "x "
        assert not {SECRET, assistant} & {model.id for model in other.models.list()}
        for called in (SECRET, assistant):
            with pytest.raises(NotFoundError):
                other.models.retrieve(called)
            with pytest.raises(NotFoundError):
                other.responses.create(model=called, input="x")


def test_front_ends_of_others(parties: Parties) -> None:
    with parties.stranger() as owner, parties.stranger() as other:
        thread_id, name = str(uuid4()), "the same name"
        for thread in (thread_id, name):
            owner.post("/agui/helper", json=given(thread, SECRET)).raise_for_status()
        body = {"graph_id": "helper", "name": SECRET}
        assistant = owner.post("/assistants", json=body).raise_for_status().json()["assistant_id"]

        for stolen in (given(thread_id, "x"), given(thread_id), given(thread_id, "x", state={"notes": {"a": 1}})):
            response = other.post("/agui/helper", json=stolen)
            assert response.status_code == 404, response.text
        resume = [{"interruptId": "x", "status": "resolved"}]
        assert other.post("/agui/helper", json=given(thread_id, resume=resume)).status_code == 422
        assert other.post(f"/agui/{assistant}", json=given(str(uuid4()), "x")).status_code == 404
        own = read(other.post("/agui/helper", json=given(name, "mine")).raise_for_status().text)
        [snapshot] = of(own, "MESSAGES_SNAPSHOT")
        assert [message.content for message in snapshot.messages] == ["mine", "mine "]
        state = owner.get(f"/threads/{thread_id}/state").raise_for_status().json()
        assert [message["content"] for message in state["values"]["messages"]] == [SECRET, f"{SECRET} "]


def test_strangers_are_told_in_the_form_of_the_api(parties: Parties) -> None:
    with parties.stranger() as somebody:
        url = str(somebody.base_url).rstrip("/")
    with OpenAI(
        api_key="wrong", base_url=f"{url}/v1", max_retries=0, http_client=DefaultHttpxClient(verify=False)
    ) as client:
        with pytest.raises(AuthenticationError) as refused:
            client.responses.create(model="helper", input="x")
        assert refused.value.code == "invalid_api_key"
        assert refused.value.type == "invalid_request_error"
        with pytest.raises(AuthenticationError):
            client.models.list()


@pytest.mark.parametrize("parties", ["handlers"], indirect=True)
def test_what_handlers_are_asked(parties: Parties) -> None:
    """A run of these protocols is made like any other: its owner is noted by the project's handlers."""
    with parties.stranger() as http, client_of(http) as client:
        made = client.responses.create(model="helper", input="x")
        [thread] = http.post("/threads/search", json={}).raise_for_status().json()
        assert thread["metadata"]["owner"] == http.headers["x-user"]
        [run] = http.get(f"/threads/{thread['thread_id']}/runs").raise_for_status().json()
        assert run["run_id"] == str(UUID(made.id.removeprefix("resp_")))
