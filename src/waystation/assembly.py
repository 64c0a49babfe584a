"""Putting a server together: which database and bus, and which parts a process of a role has."""

from __future__ import annotations

from starlette.types import ASGIApp

from waystation.auth.api_keys import ApiKeys
from waystation.auth.project import custom_authentication, warn_of_gaps
from waystation.config import Config
from waystation.crons.scheduler import Scheduler
from waystation.databases import encrypted, open_database
from waystation.encryption import encryption_of
from waystation.errors import ConfigError
from waystation.graphs import Graphs
from waystation.observability.metrics import Metrics
from waystation.roles import Role, require_shared
from waystation.runs.capacity import Capacity
from waystation.runs.engine import Engine
from waystation.runs.worker import Timing, Worker
from waystation.server import Server
from waystation.storage.checkpoints import Saver
from waystation.storage.database import Database
from waystation.store import Store
from waystation.streams.bus import Bus, MemoryBus
from waystation.streams.events import Positions
from waystation.streams.thread_stream import Publisher
from waystation.threads.ttl import default_ttl
from waystation.webhooks.deliverer import Deliverer
from waystation.webhooks.policy import WebhookPolicy

__all__ = ["build_server"]

SAFETY_NET_S = 5
"""How often a worker renews its leases at least, and looks for what no signal told it of."""

RENEWALS = 6
"""Renewals of a lease before it expires: some may be late, or fail."""


def build_server(config: Config, graphs: Graphs, role: Role, local_app: ASGIApp | None = None) -> Server:
    """Open the database and connect all parts. `local_app` is the server's own application, for webhooks that are paths of it.
    Raises ConfigError."""
    if role != "all":
        require_shared(config, f"A process of the role {role!r}")
    if role == "worker" and config.jobs_per_worker == 0:
        raise ConfigError("A worker with N_JOBS_PER_WORKER=0 would execute no run.")
    custom = custom_authentication(config, graphs.modules)
    if custom is not None and role != "worker":
        warn_of_gaps(custom)
    seals = encryption_of(config, graphs.modules)
    bus = _bus(config)
    db, lock = open_database(config)
    db = encrypted(db, lock, seals)
    saver, store, positions = Saver(db), Store(db, config.store.get("ttl")), Positions()
    graphs.attach(store, saver)
    capacity = Capacity(db, config.max_pending_runs)
    worker = None
    if role != "api":
        worker = Worker(config, db, graphs, store, saver, bus, positions)
        worker.timing = Timing(lease_s=config.lease_s, safety_net_s=min(SAFETY_NET_S, config.lease_s / RENEWALS))
    engine = Engine(db, bus, positions, graphs, worker, capacity)
    webhooks = WebhookPolicy.of(config)
    deliverer = _deliverer(config, db, webhooks, role, local_app)
    if deliverer is not None:
        engine.on_notice = deliverer.wake
        if worker is not None:
            worker.on_notice = deliverer.wake
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
        engine=engine,
        capacity=capacity,
        scheduler=Scheduler(
            db,
            engine,
            graphs,
            None if custom is None else custom.handlers,
            config.cron_interval_s,
            default_ttl(config),
            send_webhooks=webhooks.sent,
        ),
        webhooks=webhooks,
        deliverer=deliverer,
        metrics=Metrics(),
        lock=lock,
        encryption=seals,
        authentication=None if role == "worker" else ApiKeys(db) if config.api_keys else custom,
    )


def _deliverer(
    config: Config, db: Database, webhooks: WebhookPolicy, role: Role, local_app: ASGIApp | None
) -> Deliverer | None:
    local = local_app if webhooks.local and role != "worker" else None
    if not webhooks.sent or (role == "api" and local is None):
        return None
    return Deliverer(db, config.webhooks, webhooks.urls, local_app=local)


def _bus(config: Config) -> Bus:
    if config.redis_uri is None:
        return MemoryBus()
    from waystation.streams.redis_bus import RedisBus

    return RedisBus(config.redis_uri, key_prefix=config.redis_key_prefix)
