"""Putting a server together: which database and bus, and which parts a process of a role has."""

from __future__ import annotations

from starlette.types import ASGIApp

from waystation.auth.api_keys import ApiKeys
from waystation.auth.project import custom_authentication, warn_of_gaps
from waystation.config import Config
from waystation.crons.scheduler import Scheduler
from waystation.databases import encrypted, open_database
from waystation.deepagents.compile.memory import AREA
from waystation.deepagents.mcp_servers import McpServers
from waystation.deepagents.models import Models
from waystation.deepagents.runs import ManagedGraph
from waystation.encryption import encryption_of
from waystation.errors import ConfigError
from waystation.graphs import Graphs
from waystation.loopback import Loopback
from waystation.observability.metrics import Metrics
from waystation.observability.tracing import tracing_of
from waystation.reserved import MANAGED_GRAPH
from waystation.roles import Role, require_shared
from waystation.runs.attempts import Attempts
from waystation.runs.capacity import Capacity
from waystation.runs.engine import Engine
from waystation.runs.handover import Handover
from waystation.runs.leases import Leases
from waystation.runs.slots import Slots
from waystation.runs.worker import Timing, Worker
from waystation.server import Server
from waystation.storage.checkpoints import Saver
from waystation.storage.database import Database
from waystation.store import CustomStore, Store
from waystation.store.custom import open_custom_store
from waystation.store.semantic.opening import open_index
from waystation.store.semantic.project import load_embedder
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


def build_server(
    config: Config,
    graphs: Graphs,
    role: Role,
    *,
    loopback: Loopback | None = None,
    webhook_app: ASGIApp | None = None,
) -> Server:
    """Open the database and connect all parts. `loopback` is how runs call the server itself, `webhook_app` takes webhooks that are
    paths of it. Raises ConfigError."""
    if role != "all":
        require_shared(config, f"A process of the role {role!r}")
    if role == "worker" and config.jobs_per_worker == 0:
        raise ConfigError("A worker with N_JOBS_PER_WORKER=0 would execute no run.")
    custom = custom_authentication(config, graphs.modules)
    if custom is not None and role != "worker":
        warn_of_gaps(custom)
    # What the project and its environment have for the parts comes first: a mistake there is found before anything is opened.
    seals = encryption_of(config, graphs.modules)
    tracing = tracing_of(config)
    bus = _bus(config)
    embedder = None if config.store.index is None else load_embedder(config.store.index, graphs.modules)
    custom_store = _custom_store(config, graphs)
    db, lock = open_database(config)
    db = encrypted(db, lock, seals)
    saver, positions = Saver(db, cache_bytes=int(config.checkpoint_cache_mb * 2**20)), Positions()
    index = None
    if config.store.index is not None and embedder is not None:
        index = open_index(db, config.store.index, embedder)
    store = custom_store or Store(db, config.store.ttl, index=index)
    graphs.attach(store, saver)
    # Agents keep their memory in the database whatever the project's store is, where no route of the store finds it.
    memory = Store(db, area=AREA)
    mcp_servers = McpServers(db, config)
    models = Models(config.default_model, config.models)
    graphs.adopt(MANAGED_GRAPH, ManagedGraph(db, models, memory, mcp_servers.tools.within))
    metrics = Metrics()
    capacity = Capacity(db, config.max_pending_runs)
    worker = attempts = None
    safety_net_s = min(SAFETY_NET_S, config.lease_s / RENEWALS)
    if role != "api":
        slots, leases = Slots(config.jobs_per_worker), Leases()
        attempts = Attempts(
            config, db, graphs, store, saver, bus, positions, metrics, tracing, slots=slots, leases=leases
        )
        if loopback is not None:
            attempts.on_attempt = loopback.enter
        worker = Worker(config, db, bus, metrics, attempts, slots, leases)
        worker.timing = Timing(lease_s=config.lease_s, safety_net_s=safety_net_s)
    handover = None
    if config.redis_uri is not None:
        handover = Handover(db, bus, config.lease_s, safety_net_s, sealed=seals is not None)
    engine = Engine(db, bus, positions, graphs, worker, handover, capacity, tracing)
    webhooks = WebhookPolicy.of(config)
    deliverer = _deliverer(config, db, webhooks, role, webhook_app, metrics)
    if deliverer is not None:
        engine.on_notice = deliverer.wake
        if attempts is not None:
            attempts.on_notice = deliverer.wake
    return Server(
        config=config,
        role=role,
        db=db,
        graphs=graphs,
        saver=saver,
        store=store,
        index=index,
        bus=bus,
        streams=Publisher(bus, positions),
        worker=worker,
        handover=handover,
        engine=engine,
        capacity=capacity,
        scheduler=Scheduler(
            db,
            engine,
            graphs,
            None if custom is None else custom.handlers,
            config.cron_interval_s,
            default_ttl(config),
            metrics.crons,
            send_webhooks=webhooks.sent,
        ),
        webhooks=webhooks,
        deliverer=deliverer,
        mcp_servers=mcp_servers,
        metrics=metrics,
        tracing=tracing,
        lock=lock,
        encryption=seals,
        authentication=ApiKeys(db) if config.api_keys else custom,
    )


def _deliverer(
    config: Config, db: Database, webhooks: WebhookPolicy, role: Role, webhook_app: ASGIApp | None, metrics: Metrics
) -> Deliverer | None:
    local = webhook_app if webhooks.local and role != "worker" else None
    if not webhooks.sent or (role == "api" and local is None):
        return None
    return Deliverer(db, config.webhooks, webhooks.urls, metrics.webhooks, local_app=local)


def _custom_store(config: Config, graphs: Graphs) -> CustomStore | None:
    if config.store.path is None:
        return None
    return open_custom_store(config.store.path, graphs.modules, in_workspaces=config.api_keys)


def _bus(config: Config) -> Bus:
    if config.redis_uri is None:
        return MemoryBus()
    from waystation.streams.redis_bus import RedisBus

    return RedisBus(config.redis_uri, key_prefix=config.redis_key_prefix)
