"""Putting a server together: which database and bus, and which parts a process of a role has."""

from __future__ import annotations

from waystation.auth.api_keys import ApiKeys
from waystation.auth.project import custom_authentication, warn_of_gaps
from waystation.config import Config
from waystation.databases import open_database
from waystation.errors import ConfigError
from waystation.graphs import Graphs
from waystation.observability.metrics import Metrics
from waystation.roles import Role, require_shared
from waystation.runs.capacity import Capacity
from waystation.runs.engine import Engine
from waystation.runs.worker import Timing, Worker
from waystation.server import Server
from waystation.storage.checkpoints import Saver
from waystation.store import Store
from waystation.streams.bus import Bus, MemoryBus
from waystation.streams.events import Positions
from waystation.streams.thread_stream import Publisher

__all__ = ["build_server"]

SAFETY_NET_S = 5
"""How often a worker renews its leases at least, and looks for what no signal told it of."""

RENEWALS = 6
"""Renewals of a lease before it expires: some may be late, or fail."""


def build_server(config: Config, graphs: Graphs, role: Role) -> Server:
    """Open the database and connect all parts. Raises ConfigError."""
    if role != "all":
        require_shared(config, f"A process of the role {role!r}")
    if role == "worker" and config.jobs_per_worker == 0:
        raise ConfigError("A worker with N_JOBS_PER_WORKER=0 would execute no run.")
    custom = None if role == "worker" else custom_authentication(config, graphs.modules)
    if custom is not None:
        warn_of_gaps(custom)
    bus = _bus(config)
    db, lock = open_database(config)
    saver, store, positions = Saver(db), Store(db, config.store.get("ttl")), Positions()
    graphs.attach(store, saver)
    capacity = Capacity(db, config.max_pending_runs)
    worker = None
    if role != "api":
        worker = Worker(config, db, graphs, store, saver, bus, positions)
        worker.timing = Timing(lease_s=config.lease_s, safety_net_s=min(SAFETY_NET_S, config.lease_s / RENEWALS))
    return Server(
        config=config,
        role=role,
        db=db,
        graphs=graphs,
        saver=saver,
        store=store,
        bus=bus,
        streams=Publisher(bus, positions),
        worker=worker,
        engine=Engine(db, bus, positions, graphs, worker, capacity),
        capacity=capacity,
        metrics=Metrics(),
        lock=lock,
        authentication=ApiKeys(db) if config.api_keys and role != "worker" else custom,
    )


def _bus(config: Config) -> Bus:
    if config.redis_uri is None:
        return MemoryBus()
    from waystation.streams.redis_bus import RedisBus

    return RedisBus(config.redis_uri, key_prefix=config.redis_key_prefix)
