"""Runs that are given to a worker of another process as they are created: whatever gets lost on the way, they are executed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import Row, select

from tests.bus.conftest import Process
from tests.bus.events import until
from tests.bus.fleet import SIGNALS_ONLY, Fleet
from tests.driver import Driver
from tests.gate import Gate
from tests.live import LiveServer
from waystation.runs.handover import Handover, read_note
from waystation.runs.lifecycle import Claim, Claimed
from waystation.runs.worker import Timing
from waystation.storage.database import Database
from waystation.storage.tables import runs
from waystation.streams.offers import Offers
from waystation.streams.redis_bus import RedisBus

LEASE_S = 2.0

WATCHFUL = Timing(lease_s=LEASE_S, safety_net_s=0.2)
"""A worker that looks often for what it holds."""


@pytest.fixture
def unwoken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told of what is in the queue."""
    monkeypatch.setattr(RedisBus, "wake_workers", lambda self, due_us=0: None)


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is told of the runs that it is given."""
    monkeypatch.setattr(RedisBus, "hand_over", lambda self, address, run: None)
    monkeypatch.setattr("waystation.runs.safety_net.UNKNOWN_S", 0.1)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are soon taken back from workers that say nothing."""
    monkeypatch.setattr("waystation.assembly.SAFETY_NET_S", 0.2)
    monkeypatch.setattr("waystation.runs.handover.ON_THE_WAY_S", 0.2)
    monkeypatch.setattr("waystation.runs.handover.LOOK_S", 0.1)


@pytest.fixture
def api(request: pytest.FixtureRequest, fleet: Fleet) -> LiveServer:
    if "hasty" in request.fixturenames:
        request.getfixturevalue("hasty")  # it is built with these
    if {"hasty", "untold"}.intersection(request.fixturenames):
        return fleet.start("api", lease_s=LEASE_S)
    return fleet.start("api")


@pytest.fixture
async def driver(fleet: Fleet, api: LiveServer) -> AsyncIterator[Driver]:
    async with fleet.driver(api) as driver:
        yield driver


def offers_of(server: LiveServer) -> Offers:
    offers: Offers = server.app.state.server.bus.offers
    return offers


async def offered(api: LiveServer, worker: str) -> None:
    """Wait until the process knows that the worker has a free slot."""
    await until(lambda: offers_of(api).heard_at(worker) is not None, "the worker being known")
    offers = offers_of(api)
    taken: list[str] = []

    def has_one() -> bool:
        if (address := offers.take()) is not None:
            taken.append(address)
            offers.put_back(address)
        return worker in taken

    await until(has_one, "its offer")


async def joined(fleet: Fleet, api: LiveServer, timing: Timing = SIGNALS_ONLY) -> LiveServer:
    """A worker whose offer the process knows."""
    worker = fleet.worker(timing)
    await offered(api, worker.app.state.server.worker.worker_id)
    return worker


async def row(server: LiveServer, run_id: str) -> Row[Any]:
    db: Database = server.app.state.server.db
    return await asyncio.to_thread(
        db.read_blocking, lambda conn: conn.execute(select(runs).where(runs.c.run_id == run_id)).one()
    )


# --- as it should be


@pytest.mark.parametrize("size", [1, 200_000])
async def test_nobody_has_to_claim_it(unwoken: None, fleet: Fleet, api: LiveServer, driver: Driver, size: int) -> None:
    """What is too large for the message is found in the database."""
    await joined(fleet, api)
    result = await driver.wait(None, "echo", {"x": "a" * size})
    assert result == {"x": "a" * size + "!", "n": 1, "log": []}
    thread = await driver.thread()
    for n in range(3):
        assert (await driver.wait(thread, "echo", {"x": str(n)}))["n"] == n + 1


async def test_it_is_running_at_once(fleet: Fleet, api: LiveServer, driver: Driver, process: Process) -> None:
    async with process(executes=True) as member:
        member.slots = 1
        await offered(api, member.bus.address or "")
        thread = await driver.thread()
        run = await driver.start(thread, "echo", {"x": "a"})
        given = await row(api, run["run_id"])
        assert (given.status, given.attempt, given.worker_id) == ("running", 1, member.bus.address)
        queued = await driver.start(thread, "echo", {"x": "b"})
        assert (await row(api, queued["run_id"])).status == "pending", "its thread is busy"
        await until(lambda: len(member.taken_on) == 1, "the message")
        note = read_note(member.taken_on[0], given.worker_id)
        assert note.run is not None
        assert (note.run.run_id, note.run.kwargs, note.until) == (run["run_id"], given.kwargs, given.lease_expires_at)


async def test_a_full_worker_passes_it_on(fleet: Fleet, api: LiveServer, driver: Driver, gate: Gate) -> None:
    worker = fleet.worker(jobs_per_worker=1)
    figures = worker.app.state.server.worker.figures
    address = worker.app.state.server.worker.worker_id
    await offered(api, address)
    threads = [await driver.thread() for _ in range(4)]
    for thread in threads:
        offers_of(api).hear(address, 4, 4)  # it has not
        await driver.start(thread, "gated", gate.state)
        assert figures().active <= 1
    await gate.reached()
    await asyncio.sleep(0.2)
    assert figures().active == 1
    gate.open()
    for thread in threads:
        await driver.settled(thread)
    assert [run["status"] for thread in threads for run in await driver.runs(thread)] == ["success"] * 4


async def test_a_server_that_is_full_gives_to_others(unwoken: None, fleet: Fleet, gates: Callable[[], Gate]) -> None:
    """Each serves clients and executes runs."""
    gate = gates()
    one, two = (fleet.start("all", SIGNALS_ONLY, jobs_per_worker=1) for _ in range(2))
    workers = [server.app.state.server.worker for server in (one, two)]
    async with fleet.driver(one) as driver:
        await offered(one, workers[1].worker_id)
        threads = [await driver.thread() for _ in range(2)]
        for thread in threads:
            await driver.start(thread, "gated", gate.state)
        await until(lambda: [worker.figures().active for worker in workers] == [1, 1], "each having one")
        gate.open()
        for thread in threads:
            await driver.settled(thread)


# --- as it should not be


async def test_a_worker_that_was_not_told_finds_it(
    unwoken: None, untold: None, fleet: Fleet, api: LiveServer, driver: Driver
) -> None:
    await joined(fleet, api, WATCHFUL)
    thread = await driver.thread()
    assert (await driver.wait(thread, "echo", {"x": "a"}))["x"] == "a!"
    ((run,), state) = await driver.runs(thread), await driver.show(thread)
    assert (run["status"], state["status"]) == ("success", "idle")
    assert (await row(api, run["run_id"])).attempt == 2, "whatever the message might still bring about is shut out"


async def test_a_message_that_comes_after_all_is_not_executed_again(
    untold: None, monkeypatch: pytest.MonkeyPatch, fleet: Fleet, api: LiveServer, driver: Driver, gate: Gate
) -> None:
    messages: list[tuple[str, bytes]] = []
    monkeypatch.setattr(RedisBus, "hand_over", lambda self, address, run: messages.append((address, run)))
    worker = await joined(fleet, api, WATCHFUL)
    thread = await driver.thread()
    gate.open()
    assert "__error__" not in await driver.wait(thread, "counted", gate.state)
    visits = gate.visits
    ((address, message),) = messages
    assert visits > 0
    monkeypatch.undo()
    api.app.state.server.bus.hand_over(address, message)
    assert (await driver.wait(None, "echo", {"x": "a"}))["x"] == "a!"
    await until(lambda: worker.app.state.server.worker.figures().active == 0, "everything being over")
    assert gate.visits == visits


async def test_it_can_be_cancelled_before_its_worker_knows(
    untold: None, fleet: Fleet, api: LiveServer, driver: Driver, gate: Gate
) -> None:
    await joined(fleet, api, WATCHFUL)
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state)
    assert (await driver.cancel(thread, run["run_id"], wait="true")).is_success
    assert (await driver.run(thread, run["run_id"]))["status"] == "interrupted"
    assert not gate.was_reached()
    await driver.settled(thread)


async def test_a_worker_that_stops_lets_go_of_what_it_was_not_told(
    untold: None, fleet: Fleet, api: LiveServer, driver: Driver
) -> None:
    thread = await driver.thread()
    with fleet.serving("worker", SIGNALS_ONLY) as worker:
        await offered(api, worker.app.state.server.worker.worker_id)
        run = await driver.start(thread, "echo", {"x": "a"})
        assert (await row(api, run["run_id"])).status == "running"
    left = await row(api, run["run_id"])
    assert (left.status, left.worker_id, left.handed_back) == ("pending", None, 1)
    fleet.worker()
    await driver.reaches(thread, run["run_id"], "success")


@pytest.mark.parametrize("farewell", [True, False])
async def test_it_is_taken_back_from_a_worker_that_is_gone(
    hasty: None, fleet: Fleet, api: LiveServer, driver: Driver, process: Process, farewell: bool
) -> None:
    """Long before its lease expires: it says goodbye, or says nothing any more."""
    thread = await driver.thread()
    async with AsyncExitStack() as stack:
        member = await stack.enter_async_context(process(executes=True))
        member.slots = 1
        await offered(api, member.bus.address or "")
        run = await driver.start(thread, "echo", {"x": "a"})
        assert (await row(api, run["run_id"])).worker_id == member.bus.address
        if farewell:
            await stack.aclose()
        else:
            for task in member.bus._tasks:
                task.cancel()
        fleet.worker()
        await driver.reaches(thread, run["run_id"], "success")
    ended = await row(api, run["run_id"])
    assert (ended.attempt, ended.handed_back) == (2, 1)


async def test_it_is_left_to_a_worker_that_has_renewed_its_lease(
    hasty: None, fleet: Fleet, api: LiveServer, driver: Driver, gate: Gate
) -> None:
    """It cannot be heard for a while, but goes on."""
    worker = fleet.worker(WATCHFUL)
    bus = worker.app.state.server.bus
    await offered(api, worker.app.state.server.worker.worker_id)
    thread = await driver.thread()
    run = await driver.start(thread, "gated", gate.state)
    bus._outbox.listen = lambda topics: None
    await gate.reached()
    await asyncio.sleep(1.5)
    gate.open()
    await driver.reaches(thread, run["run_id"], "success")
    assert (await row(api, run["run_id"])).attempt == 1


async def test_what_is_late_is_begun_anew(fleet: Fleet, api: LiveServer, driver: Driver, process: Process) -> None:
    """So much of the lease has passed that somebody else may already have taken the run."""
    thread = await driver.thread()
    await joined(fleet, api, Timing(lease_s=3600, safety_net_s=60, without_bus_s=60))
    run = await driver.start(thread, "echo", {"x": "a"})
    await driver.reaches(thread, run["run_id"], "success")
    assert (await row(api, run["run_id"])).attempt == 2


# --- offers


def test_the_worker_with_the_largest_share_of_free_slots_comes_first() -> None:
    offers = Offers()
    offers.hear("unknown", 5)
    offers.hear("small", 2, 2)
    offers.hear("large", 6, 8)
    offers.hear("full", 0, 8)
    assert [offers.take() for _ in range(9)] == ["small", "large", "large", *["small"], *["large"] * 4, None]
    offers.put_back("small")
    assert offers.take() == "small"
    offers.hear("large", 3)
    assert offers.take() == "large"
    offers.withdraw("large")
    assert offers.take() is None
    assert offers.heard_at("large") is not None


def test_nobody_is_asked_who_may_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[str] = []
    offers = Offers()
    offers.on_gone = lambda: gone.append("gone")
    offers.hear("worker", 1, 1)
    offers.doubt()
    assert offers.take() is None
    offers.hear("worker", 1)
    monkeypatch.setattr("waystation.streams.offers.SILENT_S", 0)
    assert offers.take() is None
    offers.expire(60)
    assert gone == []
    offers.expire(0)
    offers.gone("worker")
    assert (gone, offers.heard_at("worker")) == (["gone"], None)


def test_each_worker_is_woken_in_turn() -> None:
    offers = Offers()
    assert offers.whose_turn() == (None, 0)
    for address in ("a", "b", "c"):
        offers.hear(address, 0, 4)
    assert [offers.whose_turn() for _ in range(4)] == [("a", 3), ("b", 3), ("c", 3), ("a", 3)]
    offers.hear("b", 2)
    assert offers.whose_turn() == ("b", 3), "news do not change the order"
    offers.withdraw("c")
    offers.hear("c", 4)
    assert offers.able == 2, "that was on its way"
    assert [offers.whose_turn() for _ in range(3)] == [("a", 2), ("b", 2), ("a", 2)]
    offers.hear("c", 4, 4)
    assert offers.able == 3


async def test_a_worker_that_takes_no_more_is_given_nothing(process: Process) -> None:
    async with process() as api, process(executes=True) as member:
        member.slots = 3
        await until(lambda: api.bus.offers.take() is not None, "an offer")
        member.bus.retire()
        await until(lambda: api.bus.offers.take() is None, "the news")
        await asyncio.sleep(0.3)
        assert api.bus.offers.take() is None


async def test_free_slots_are_told_when_they_change(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("waystation.streams.redis_bus.ALIVE_S", 3600)
    async with process() as api, process(executes=True) as member:
        await until(lambda: api.bus.offers.heard_at(member.bus.address or "") is not None, "the introduction")
        for slots in (3, 1, 4):
            member.slots = slots
            await until(lambda slots=slots: drained(api.bus.offers) == slots, "the news")  # type: ignore[misc]


def drained(offers: Offers) -> int:
    """How many slots there are to take, after which they are put back."""
    taken = []
    while (address := offers.take()) is not None:
        taken.append(address)
    for address in taken:
        offers.put_back(address)
    return len(taken)


# --- messages


@pytest.mark.parametrize("sealed", [True, False])
async def test_a_message_has_no_arguments_that_are_stored_encrypted(
    process: Process, fleet: Fleet, sealed: bool
) -> None:
    async with process() as api, process(executes=True) as member:
        member.slots = 1
        handover = Handover(None, api.bus, 30, 5, sealed=sealed)  # type: ignore[arg-type]
        claim: Claim | None = None

        def reserved() -> bool:
            nonlocal claim
            claim = handover.reserve()
            return claim is not None

        await until(reserved, "a slot")
        assert claim is not None
        run = Claimed("run", "thread", "assistant", "graph", 1, {"input": "secret"}, 5, None, 1, "default", claim, True)
        handover.accept(run)
        await until(lambda: len(member.taken_on) == 1, "the message")
        note = read_note(member.taken_on[0], claim.worker_id)
        assert note.run == (None if sealed else run)
        assert (note.run_id, note.until) == ("run", claim.until)
        assert (b"secret" in member.taken_on[0]) is not sealed


async def test_what_cannot_be_read_is_left_to_the_safety_net(
    fleet: Fleet, api: LiveServer, driver: Driver, gates: Callable[[], Gate]
) -> None:
    worker = fleet.worker()
    address = worker.app.state.server.worker.worker_id
    await offered(api, address)
    for payload in (b"\xff", b"\x90", b"\x93\x01\x02\x03"):
        api.app.state.server.bus.hand_over(address, payload)
    assert (await driver.wait(None, "echo", {"x": "a"}))["x"] == "a!"
