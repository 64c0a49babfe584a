"""Faults in a random order that a seed decides."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

from tests.chaos.cluster import LEASE_S, Cluster
from tests.chaos.member import Member

__all__ = ["Fault", "carry_out", "plan"]

Kind = Literal["kill api", "kill worker", "freeze worker", "lose valkey", "stop postgres", "crash postgres"]

AWAY_S = (0.0, 2.0)
"""How long what has ended stays away."""

FROZEN_S = (1.5 * LEASE_S, 2.5 * LEASE_S)
"""How long a worker is stopped: longer than its lease."""


@dataclass(frozen=True)
class Fault:
    """What happens, when (seconds from the beginning), to which process of its kind, and for how long."""

    at_s: float
    kind: Kind
    target: int
    lasts_s: float


def plan(random: Random, count: int, within_s: float) -> list[Fault]:
    """`count` faults, evenly spread but for chance. Each kind comes once before one comes again."""
    kinds: list[Kind] = []
    while len(kinds) < count:
        round_ = list(get_args(Kind))
        random.shuffle(round_)
        kinds += round_
    slice_s = within_s / count
    return [
        Fault(
            (number + random.random()) * slice_s,
            kind,
            random.randrange(1000),
            random.uniform(*(FROZEN_S if kind == "freeze worker" else AWAY_S)),
        )
        for number, kind in enumerate(kinds[:count])
    ]


async def carry_out(cluster: Cluster, faults: Sequence[Fault]) -> None:
    """Let all of it happen; returns when everything has been put right again."""
    havoc = _Havoc(cluster)
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        for fault in faults:
            await asyncio.sleep(began + fault.at_s - asyncio.get_running_loop().time())
            group.create_task(havoc.happen(fault))


class _Havoc:
    """Faults that may overlap, but not on the same target."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._note = cluster.chronicle.note
        self._busy: set[str] = set()

    async def happen(self, fault: Fault) -> None:
        member = self._member(fault)
        target = member.name if member is not None else fault.kind.split()[1]
        if target in self._busy:
            self._note(f"{fault.kind}: {target} has trouble enough")
            return
        self._busy.add(target)
        try:
            self._note(f"{fault.kind}: {target} for {fault.lasts_s:.1f} s")
            await self._befall(fault, member)
            self._note(f"{target} is back")
        finally:
            self._busy.discard(target)

    def _member(self, fault: Fault) -> Member | None:
        of_kind = {"api": self._cluster.apis, "worker": self._cluster.workers}.get(fault.kind.split()[1])
        return of_kind[fault.target % len(of_kind)] if of_kind else None

    async def _befall(self, fault: Fault, member: Member | None) -> None:
        postgres, valkey = self._cluster.postgres, self._cluster.valkey
        if fault.kind == "lose valkey":
            await asyncio.to_thread(valkey.kill)
            await asyncio.sleep(fault.lasts_s)
            await asyncio.to_thread(valkey.start)
        elif member is None:
            await asyncio.to_thread(postgres.stop, "fast" if fault.kind == "stop postgres" else "immediate")
            await asyncio.sleep(fault.lasts_s)
            await asyncio.to_thread(postgres.start)
        elif fault.kind == "freeze worker":
            if member.launched:
                member.freeze()
                await asyncio.sleep(fault.lasts_s)
                member.thaw()
        else:
            member.kill()
            await asyncio.sleep(fault.lasts_s)
            if not member.launched:
                member.launch()
