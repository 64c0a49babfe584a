"""A process that only executes runs has no API for clients. The runs call it all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from starlette.applications import Starlette

from tests.bus.fleet import Fleet
from tests.custom_app.given import configured
from tests.loopback.conftest import GRAPHS, client_of


async def test_a_run_on_a_worker_calls_the_api(tmp_path: Path, valkey: Any) -> None:
    with Fleet(tmp_path, valkey.connection_url, uuid4().hex) as fleet:
        app = configured(Starlette())
        api = fleet.start("api", graphs=GRAPHS, http=app)
        worker = fleet.worker(graphs=GRAPHS, http=app)
        async with client_of(api.url) as sdk, httpx.AsyncClient(base_url=worker.url) as outside:
            values: Any = await sdk.runs.wait(None, "caller", input={"x": "a"})
            assert values["x"]["x"][0] == "a"
            values = await sdk.runs.wait(None, "threads", input={})
            assert (await sdk.threads.get(values["x"][0]))["status"] == "idle"
            assert (await outside.post("/threads", json={})).status_code == 404
            assert (await outside.get("/ok")).status_code == 200
