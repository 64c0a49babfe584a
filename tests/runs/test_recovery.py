"""Processes that die or stop with runs in flight: nothing is lost and nothing is done twice (spec 6.1)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text
from starlette.applications import Starlette

from tests.conftest import IMPATIENT, connected, served
from tests.databases import DIALECT
from tests.driver import Driver, eventually
from tests.gate import Gate
from waystation.runs import lifecycle
from waystation.runs.lifecycle import Claim, Claimed, LeaseLost, Outcome
from waystation.timestamps import now_us

SECOND = 1_000_000
HOUR = 3600 * SECOND

AT_THE_START = HOUR if DIALECT == "sqlite" else 1
"""A lease that the next process to start does not respect: on SQLite there is no other process, elsewhere it must be over."""


async def claimed_by_the_dead(app: Starlette, lasts_us: int = AT_THE_START, limit: int = 10) -> list[Claimed]:
    """What a worker holds that then dies without a word."""
    claim = Claim(str(uuid4()), now_us() + lasts_us)
    runs: list[Claimed] = await app.state.server.db.write(lifecycle.claim, claim, limit, now_us())
    return runs


async def attempts(app: Starlette) -> dict[str, int]:
    def read(conn: Connection) -> dict[str, int]:
        return {row[0]: row[1] for row in conn.execute(text("SELECT run_id, attempt FROM runs"))}

    result: dict[str, int] = await app.state.server.db.read(read)
    return result


def as_if_killed(conn: Connection) -> None:
    """What a process that stops in good order hands back does not count as an attempt: take that back beforehand."""
    conn.execute(text("UPDATE runs SET handed_back = handed_back - 1"))


async def test_a_run_resumes_from_its_last_checkpoint(tmp_path: Path, gate: Gate) -> None:
    """The process stops in the middle of the second node; the first is not executed again."""
    async with served(tmp_path, timing=IMPATIENT) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        run = await driver.start(thread, "counted", gate.state, durability="sync")
        await gate.reached()
    gate.open()
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        settled = await driver.settled(thread)
        assert settled["values"]["log"] == ["first", "gate", "last"]
        assert await driver.statuses(thread) == ["success"]
        assert await attempts(app) == {run["run_id"]: 2}
        assert gate.visits == 2


async def test_runs_of_a_dead_process_are_taken_over_at_the_start(tmp_path: Path) -> None:
    threads = []
    async with served(tmp_path, jobs_per_worker=0) as app, connected(app) as client:
        driver = Driver(client)
        for n in range(3):
            threads.append(await driver.thread())
            await driver.start(threads[-1], "echo", {"x": str(n)})
            await driver.start(threads[-1], "echo", {"x": f"{n} queued"})
        assert len(await claimed_by_the_dead(app)) == 3
        assert await driver.statuses(threads[0]) == ["running", "pending"]
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        for n, thread in enumerate(threads):
            assert (await driver.settled(thread))["values"] == {"x": f"{n} queued!", "n": 2, "log": []}
            assert await driver.statuses(thread) == ["success", "success"]
        assert sorted((await attempts(app)).values()) == [1, 1, 1, 2, 2, 2]


async def test_the_second_attempt_says_so_in_its_stream(tmp_path: Path, gate: Gate) -> None:
    async with served(tmp_path, timing=IMPATIENT) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        run = await driver.start(thread, "counted", gate.state, stream_resumable=True, stream_mode="updates")
        await gate.reached()
    gate.open()
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        await driver.settled(thread)
        events = await driver.rejoin(thread, run["run_id"], "-1")
    assert [event.data for event in events if event.name == "metadata"] == [
        {"run_id": run["run_id"], "attempt": 1},
        {"run_id": run["run_id"], "attempt": 2},
    ]
    assert [next(iter(event.data)) for event in events if event.name == "updates"] == ["first", "gate", "last"]
    ids = [tuple(int(part) for part in str(event.id).split("-")) for event in events]
    assert ids == sorted(set(ids))


async def test_a_run_that_was_done_but_not_settled_is_settled(tmp_path: Path, gate: Gate) -> None:
    """All its checkpoints are there: nothing is executed again."""
    gate.open()
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        run = await driver.start(thread, "counted", gate.state)
        await driver.settled(thread)

        def unsettle(conn: Connection) -> None:
            conn.execute(
                text("UPDATE runs SET status = 'running', settled_at = NULL, worker_id = 'dead', lease_expires_at = 0")
            )
            conn.execute(text("UPDATE threads SET status = 'busy'"))

        await app.state.server.db.write(unsettle)
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        assert (await driver.settled(thread))["values"]["log"] == ["first", "gate", "last"]
        assert (await driver.run(thread, run["run_id"]))["status"] == "success"
        assert gate.visits == 1


@pytest.mark.parametrize(
    ("breakpoints", "log"),
    [
        ({"interrupt_before": ["gate"]}, ["first"]),
        ({"interrupt_before": "*"}, []),
        ({"interrupt_after": ["first"]}, ["first"]),
        ({"interrupt_after": "*"}, ["first"]),
    ],
)
async def test_a_breakpoint_that_was_not_settled_is_not_run_past(
    tmp_path: Path, gate: Gate, breakpoints: dict[str, Any], log: list[str]
) -> None:
    gate.open()
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        await driver.wait(thread, "counted", gate.state, **breakpoints)
        assert (await driver.show(thread))["values"].get("log", []) == log

        def unsettle(conn: Connection) -> None:
            conn.execute(
                text("UPDATE runs SET status = 'running', settled_at = NULL, worker_id = 'dead', lease_expires_at = 0")
            )

        await app.state.server.db.write(unsettle)
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        settled = await driver.settled(thread)
        assert settled["status"] == "interrupted"
        assert settled["values"].get("log", []) == log
        await driver.wait(thread, "counted", None)
        assert (await driver.show(thread))["values"]["log"] == ["first", "gate", "last"]


async def test_an_interrupt_that_was_not_settled_is_asked_again(tmp_path: Path) -> None:
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        await driver.wait(thread, "hitl", {"x": "a"})

        def unsettle(conn: Connection) -> None:
            conn.execute(
                text("UPDATE runs SET status = 'running', settled_at = NULL, worker_id = 'dead', lease_expires_at = 0")
            )

        await app.state.server.db.write(unsettle)
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        assert (await driver.settled(thread))["status"] == "interrupted"
        assert (await driver.wait(thread, "hitl", command={"resume": "yes"}))["x"] == "yes!"


async def test_a_resume_that_was_interrupted_by_a_crash_is_not_lost(tmp_path: Path) -> None:
    async with served(tmp_path, jobs_per_worker=1) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        await driver.wait(thread, "hitl", {"x": "a"})
    async with served(tmp_path, jobs_per_worker=0) as app, connected(app) as client:
        driver = Driver(client)
        await driver.start(thread, "hitl", command={"resume": "yes"})
        assert len(await claimed_by_the_dead(app)) == 1
    async with served(tmp_path) as app, connected(app) as client:
        assert (await Driver(client).settled(thread))["values"]["x"] == "yes!"


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
async def test_a_run_that_was_cancelled_when_its_process_died_is_settled(tmp_path: Path, action: str) -> None:
    async with served(tmp_path, jobs_per_worker=0) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        run = await driver.start(thread, "echo", {"x": "a"})
        await claimed_by_the_dead(app)
        assert (await driver.cancel(thread, run["run_id"], action=action)).status_code == 202
        assert (await driver.show(thread))["status"] == "busy"
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        settled = await driver.settled(thread)
        assert settled["error"]["error"] == ("UserInterrupt" if action == "interrupt" else "UserRollback")
        assert await driver.statuses(thread) == (["interrupted"] if action == "interrupt" else [])
        assert settled["values"] is None


async def test_a_stateless_run_survives_its_process(tmp_path: Path, gate: Gate) -> None:
    async with served(tmp_path, timing=IMPATIENT) as app, connected(app) as client:
        run = (await client.post("/runs", json={"assistant_id": "counted", "input": gate.state})).json()
        await gate.reached()
    gate.open()
    async with served(tmp_path) as app, connected(app) as client:

        async def gone() -> bool:
            return (await client.get(f"/threads/{run['thread_id']}")).status_code == 404

        await eventually(gone, "the run ending")
        assert gate.visits == 2


async def test_a_run_scheduled_for_later_survives_its_process(tmp_path: Path) -> None:
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        await driver.start(thread, "echo", {"x": "a"}, after_seconds=0.3)
    async with served(tmp_path) as app, connected(app) as client:
        assert (await Driver(client).settled(thread))["values"]["x"] == "a!"


@pytest.mark.parametrize("allowed", [1, 3])
async def test_a_run_that_keeps_killing_its_process_is_given_up(tmp_path: Path, gate: Gate, allowed: int) -> None:
    thread = ""
    for attempt in range(allowed):
        async with served(tmp_path, timing=IMPATIENT, job_max_retries=allowed) as app, connected(app) as client:
            driver = Driver(client)
            if not thread:
                thread = await driver.thread()
                await driver.start(thread, "counted", gate.state)

            async def executed(times: int = attempt + 1) -> bool:
                return gate.visits == times

            await eventually(executed, f"attempt {attempt + 1}")
            await app.state.server.db.write(as_if_killed)
    async with served(tmp_path, job_max_retries=allowed) as app, connected(app) as client:
        driver = Driver(client)
        settled = await driver.settled(thread)
        assert await driver.statuses(thread) == ["error"]
        assert settled["status"] == "error"
        assert settled["error"]["error"] == "RuntimeError"
        assert gate.visits == allowed
        gate.open()
        assert (await driver.wait(thread, "counted"))["log"] == ["first", "gate", "last"], "and can be taken up again"


# --- stopping in good order


async def test_a_stopping_server_lets_runs_finish(tmp_path: Path, gate: Gate) -> None:
    app_stopped = asyncio.Event()

    async def open_later() -> None:
        await asyncio.sleep(0.1)
        assert not app_stopped.is_set()
        gate.open()

    async with served(tmp_path) as app, connected(app) as client:
        object.__setattr__(app.state.server.config, "shutdown_grace_s", 10)
        driver = Driver(client)
        thread = await driver.thread()
        await driver.start(thread, "counted", gate.state)
        await gate.reached()
        opening = asyncio.create_task(open_later())
    app_stopped.set()
    await opening
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        assert await driver.statuses(thread) == ["success"]
        assert gate.visits == 1


async def test_a_stopping_server_hands_back_what_does_not_finish(tmp_path: Path, gate: Gate) -> None:
    async with served(tmp_path, timing=IMPATIENT) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        run = await driver.start(thread, "counted", gate.state)
        queued = await driver.start(thread, "echo", {"x": "queued"})
        await gate.reached()
    async with served(tmp_path, jobs_per_worker=0) as app, connected(app) as client:
        driver = Driver(client)
        assert (await driver.run(thread, run["run_id"]))["status"] == "pending"
        assert (await driver.run(thread, queued["run_id"]))["status"] == "pending"
        assert (await driver.show(thread))["status"] == "busy"
        assert (await driver.state(thread))["values"]["log"] == ["first"]


async def test_a_stopping_server_does_not_wait_for_a_node_that_does_not_stop(tmp_path: Path, gate: Gate) -> None:
    async with served(tmp_path, timing=IMPATIENT) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        await driver.start(thread, "sync_blocker", gate.state)
        await gate.reached()
    gate.open()
    await gate.reached("left")
    async with served(tmp_path) as app, connected(app) as client:
        assert (await Driver(client).settled(thread))["values"]["log"] == ["first", "blocked", "last"]


# --- leases


async def test_a_worker_that_lost_its_run_changes_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, jobs_per_worker=0) as app, connected(app) as client:
        driver, db = Driver(client), app.state.server.db
        thread = await driver.thread()
        await driver.start(thread, "echo", {"x": "a"})
        (run,) = await claimed_by_the_dead(app, lasts_us=-SECOND)
        successor = Claim("successor", now_us() + HOUR)
        requeued, _ = await db.write(lifecycle.take_over_expired, successor, now_us(), everything=False)
        assert requeued == [run.run_id]
        (again,) = await db.write(lifecycle.claim, successor, 1, now_us())
        assert again.attempt == 2
        before = await driver.show(thread), await driver.runs(thread)
        outcome = Outcome("success", values={"x": "stale"}, interrupts={})
        for late in (
            lambda conn: lifecycle.settling(conn, run, outcome, now_us())(),
            lambda conn: lifecycle.requeue(conn, run, now_us()),
            lambda conn: lifecycle.fence(conn, run, Claim(run.claim.worker_id, now_us())),
        ):
            with pytest.raises(LeaseLost):
                await db.write(late)
        assert (await driver.show(thread), await driver.runs(thread)) == before
        await db.write(lambda conn: lifecycle.settling(conn, again, outcome, now_us())())
        with pytest.raises(LeaseLost):
            await db.write(lambda conn: lifecycle.settling(conn, again, outcome, now_us())())


async def test_a_checkpoint_of_a_lost_run_is_refused(tmp_path: Path, gate: Gate) -> None:
    """Its node does not know yet that another worker has the run."""
    async with served(tmp_path) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        run = await driver.start(thread, "gated", gate.state, durability="sync", stream_resumable=True)
        await gate.reached()
        before = len(await driver.history(thread))

        def steal(conn: Connection) -> None:
            conn.execute(
                text("UPDATE runs SET worker_id = 'thief', attempt = attempt + 1, lease_expires_at = :until"),
                {"until": now_us() + HOUR},
            )

        await app.state.server.db.write(steal)
        gate.open()

        async def dropped() -> bool:
            return bool(app.state.server.engine.worker_figures().active == 0)

        await eventually(dropped, "the run being dropped")
        assert len(await driver.history(thread)) == before
        assert (await driver.run(thread, run["run_id"]))["status"] == "running"
        assert (await driver.show(thread))["status"] == "busy"

        def error_events(conn: Connection) -> int:
            return int(conn.execute(text("SELECT count(*) FROM events WHERE name = 'error'")).scalar_one())

        assert await app.state.server.db.read(error_events) == 0, "the loss is not the client's business"


async def test_leases_of_runs_that_are_executed_are_renewed(tmp_path: Path, gate: Gate) -> None:
    async with served(tmp_path, timing=IMPATIENT) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        run = await driver.start(thread, "counted", gate.state)
        await gate.reached()
        await asyncio.sleep(2 * IMPATIENT.lease_s)
        gate.open()
        await driver.settled(thread)
        assert await attempts(app) == {run["run_id"]: 1}
        assert gate.visits == 1


async def test_a_run_whose_lease_expires_is_taken_over_without_a_restart(tmp_path: Path) -> None:
    async with served(tmp_path, timing=IMPATIENT, jobs_per_worker=1) as app, connected(app) as client:
        driver = Driver(client)
        thread = await driver.thread()
        run = await driver.start(thread, "echo", {"x": "a"}, after_seconds=0.3)
        await asyncio.sleep(0)

        def claim_early(conn: Connection) -> list[Claimed]:
            conn.execute(text("UPDATE runs SET created_at = 0"))
            return lifecycle.claim(conn, Claim("other", now_us() + SECOND // 2), 1, now_us())

        assert len(await app.state.server.db.write(claim_early)) == 1
        assert (await driver.settled(thread))["values"]["x"] == "a!"
        assert await attempts(app) == {run["run_id"]: 2}


@pytest.mark.sqlite
async def test_a_run_that_cannot_be_settled_is_tried_again(tmp_path: Path, gate: Gate) -> None:
    """The disk is full, or the like: the database refuses the final state, later it does not."""

    def refuse(conn: Connection) -> None:
        conn.execute(
            text(
                "CREATE TRIGGER full BEFORE UPDATE OF settled_at ON runs WHEN NEW.status = 'success' "
                "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        )

    async with served(tmp_path, timing=IMPATIENT) as app, connected(app) as client:
        driver, db = Driver(client), app.state.server.db
        await db.write(refuse)
        thread = await driver.thread()
        run: Any = await driver.start(thread, "counted", gate.state)
        gate.open()

        async def idle() -> bool:
            return gate.visits == 1 and app.state.server.engine.worker_figures().active == 0

        await eventually(idle, "the first attempt ending")
        assert (await driver.show(thread))["status"] == "busy"
        await db.write(lambda conn: conn.execute(text("DROP TRIGGER full")) and None)
        settled = await driver.settled(thread)
        assert settled["values"]["log"] == ["first", "gate", "last"]
        assert (await attempts(app))[run["run_id"]] >= 2
        assert gate.visits == 1, "its checkpoints were there"
