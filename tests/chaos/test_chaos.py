"""Processes die, freeze and come back, Valkey forgets everything, PostgreSQL crashes: no client notices more than a delay."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from random import Random

import pytest

from tests.chaos.audit import account_of, keep_record, unlinked_checkpoints, unsettled_runs, untidy_records
from tests.chaos.clients import Clients, clients_of
from tests.chaos.cluster import Cluster, running_cluster
from tests.chaos.faults import carry_out, plan
from tests.chaos.scripts import Script, scripts
from tests.chaos.verdict import examine

CALM_S = 60
"""How long after the last fault everything may take to be over."""


async def test_little_chaos(tmp_path: Path, seed: int) -> None:
    async with running_cluster(tmp_path, apis=2, workers=2, pause_s=0.03) as cluster:
        await endure(cluster, Random(seed), runs=40, faults=6, within_s=12)


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_much_chaos(tmp_path: Path, seed: int) -> None:
    async with running_cluster(tmp_path, apis=3, workers=3, pause_s=0.04) as cluster:
        await endure(cluster, Random(seed), runs=500, faults=90, within_s=300)


async def endure(cluster: Cluster, random: Random, *, runs: int, faults: int, within_s: float) -> None:
    """Play scripts with so many runs while so many faults happen; raise AssertionError unless all is well in the end."""
    chronicle, uri = cluster.chronicle, cluster.postgres.uri
    played, planned = scripts(random, runs), plan(random, faults, within_s)
    await asyncio.to_thread(keep_record, uri)
    keeping = asyncio.create_task(cluster.keep_alive())
    async with clients_of(cluster.urls, chronicle) as clients:
        playing = asyncio.create_task(_play(clients, played, within_s))
        await carry_out(cluster, planned)
        chronicle.note("no more faults")
        try:
            async with asyncio.timeout(CALM_S):
                await playing
                await cluster.ready(cluster.members)
                while await asyncio.to_thread(unsettled_runs, uri):  # noqa: ASYNC110 - settled in other processes
                    await asyncio.sleep(0.1)
        except TimeoutError:
            chronicle.blame(f"not over: {await asyncio.to_thread(unsettled_runs, uri)}")
        chronicle.note(f"all is over; clients have asked again {clients.retries} times")
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
        for script in played:
            try:
                await examine(script, clients)
            except AssertionError as error:
                chronicle.blame(f"thread {script.thread_id} ({script.graph}): {error}")
                chronicle.note(await asyncio.to_thread(account_of, uri, script.thread_id))
    for what, find in (
        ("runs that were over were changed", untidy_records),
        ("histories that are not one chain", unlinked_checkpoints),
    ):
        if found := await asyncio.to_thread(find, uri):
            chronicle.blame(f"{what}: {found}")
    assert not chronicle.violations, "\n".join(chronicle.violations)


async def _play(clients: Clients, played: list[Script], within_s: float) -> None:
    """Begin scripts all the time while there are faults."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number, script in enumerate(played):
            await asyncio.sleep(began + within_s * number / len(played) - time.monotonic())
            group.create_task(clients.play(script))
