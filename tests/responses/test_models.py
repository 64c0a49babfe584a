"""Assistants as models."""

from __future__ import annotations

from uuid import uuid4

import pytest
from openai import AsyncOpenAI, NotFoundError

from tests.driver import Driver


async def test_models(client: AsyncOpenAI, driver: Driver) -> None:
    name = f"Librarian {uuid4()}"
    made = []
    for _ in range(2):
        response = await driver.http.post("/assistants", json={"graph_id": "helper", "name": name})
        made.append(response.json()["assistant_id"])
        if len(made) == 1:
            assert name in [model.id async for model in client.models.list()]
            assert (await client.responses.create(model=name, input="hi")).output_text == "hi "
            assert (await client.models.retrieve(made[0])).owned_by == "user"

    listed = {model.id: model async for model in client.models.list()}
    assert {"chat", "helper", *made} <= listed.keys()  # by their ids, now that the name says nothing
    assert not {"echo", "hitl", name} & listed.keys()
    assert listed["chat"].owned_by == "waystation"
    with pytest.raises(NotFoundError, match="2 assistants have the name"):
        await client.models.retrieve(name)
    for unknown in ("nobody", str(uuid4()), "echo"):
        with pytest.raises(NotFoundError) as refused:
            await client.responses.create(model=unknown, input="hi")
        assert refused.value.code == "model_not_found"
    for assistant_id in made:
        await driver.http.delete(f"/assistants/{assistant_id}")
