"""The registry of environment variables: the one place that names, types, explains and documents each (spec 22)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from waystation.config import values
from waystation.config.model import Config
from waystation.errors import ConfigError

__all__ = ["SECTIONS", "SETTINGS", "Setting", "default_of", "parse", "read"]


class Setting(Struct, frozen=True):
    """One setting that the environment can give."""

    name: str
    """The attribute of `Config` it ends up in; dotted for one inside a section."""
    variable: str
    parse: Callable[[str], Any]
    help: str
    aliases: tuple[str, ...] = ()
    """Other variables with the same meaning, looked at when `variable` is unset."""
    default: str | None = None
    """How the documentation describes the default when it is not simply that of the attribute."""


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "data_dir",
        "WAYSTATION_DATA_DIR",
        values.text,
        "Directory of the SQLite database; a relative path starts at the project's directory.",
        default="`.waystation` beside the configuration file",
    ),
    Setting(
        "sqlite_sync",
        "WAYSTATION_SQLITE_SYNC",
        values.switch,
        "Let every commit to SQLite wait for the disk, as PostgreSQL does. Without it the death of the server loses nothing, but a "
        "power failure may lose the last moments.",
    ),
    Setting(
        "database_uri",
        "DATABASE_URI",
        values.postgres_uri,
        "Connection URI of PostgreSQL (15 to 18), which then holds everything instead of the SQLite file. `dev` always uses "
        "SQLite.",
        aliases=("POSTGRES_URI", "POSTGRES_URI_CUSTOM"),
    ),
    Setting(
        "postgres_pool_size",
        "LANGGRAPH_POSTGRES_POOL_MAX_SIZE",
        values.whole_number(2),
        "Connections to PostgreSQL of one process: one writes, the others read.",
    ),
    Setting(
        "redis_uri",
        "REDIS_URI",
        values.redis_uri,
        "Connection URI of Redis or Valkey, which carries live events and signals between processes. Without it they stay "
        "within one process; `dev` always does without.",
        aliases=("REDIS_URI_CUSTOM",),
    ),
    Setting(
        "redis_key_prefix",
        "REDIS_KEY_PREFIX",
        values.text,
        "What every key in Redis begins with: deployments that share a Redis need different ones.",
    ),
    Setting(
        "api_keys",
        "WAYSTATION_AUTH",
        values.api_keys,
        "`api-key` asks every request for an API key (`waystation keys`), which leads to a workspace; `none` does not.",
        default="`none`",
    ),
    Setting(
        "encryption.aes_key",
        "LANGGRAPH_AES_KEY",
        values.aes_key,
        "Key of 16, 24 or 32 bytes that stored data is encrypted with: the text itself, or `base64:` and base64.",
        default="none",
    ),
    Setting(
        "encryption.old_keys",
        "WAYSTATION_AES_OLD_KEYS",
        values.aes_keys,
        "Former keys, with commas, for data that they encrypted. Without `LANGGRAPH_AES_KEY` new data is stored in the clear.",
        default="none",
    ),
    Setting(
        "encryption.json_keys",
        "LANGGRAPH_AES_JSON_KEYS",
        values.words,
        "Comma-separated JSON keys whose values are encrypted, at any depth, in what can be searched otherwise: metadata and "
        "store items.",
        default="none",
    ),
    Setting(
        "encryption.searchable_values",
        "WAYSTATION_AES_SEARCHABLE_VALUES",
        values.switch,
        "Leave the values of threads open to searches: only the keys of `LANGGRAPH_AES_JSON_KEYS` are encrypted in them.",
        default="`false`",
    ),
    Setting(
        "secret_keys",
        "WAYSTATION_SECRET_KEY",
        values.secret_keys,
        "Key that the stored credentials of MCP servers are encrypted with, at least 32 random characters, the same for all "
        "processes. Several, with commas: the first one encrypts, all decrypt.",
        default="none; `dev` makes one in the data directory",
    ),
    Setting(
        "mcp_call_timeout_s",
        "WAYSTATION_MCP_CALL_TIMEOUT_SECS",
        values.number(above=0),
        "Seconds that a tool of an MCP server may take.",
    ),
    Setting(
        "jobs_per_worker",
        "N_JOBS_PER_WORKER",
        values.whole_number(0),
        "Runs executed at the same time by one process; 0 serves the API only.",
    ),
    Setting(
        "max_pending_runs",
        "WAYSTATION_MAX_PENDING_RUNS",
        values.whole_number(0),
        "Runs that may be pending, those scheduled for later among them. While there are as many, no run is created: 503 with "
        "`Retry-After`. 0 sets no limit.",
    ),
    Setting(
        "lease_s",
        "WAYSTATION_LEASE_SECS",
        values.number(least=1),
        "Seconds without a sign of life after which the runs of a worker are taken over by another.",
    ),
    Setting(
        "job_timeout_s", "BG_JOB_TIMEOUT_SECS", values.number(above=0), "Seconds a run may take before it is stopped."
    ),
    Setting(
        "job_max_retries",
        "BG_JOB_MAX_RETRIES",
        values.whole_number(1),
        "Attempts a run may have when a worker dies or the database fails.",
    ),
    Setting(
        "shutdown_grace_s",
        "BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS",
        values.number(least=0),
        "Seconds that runs, and the requests that wait for them, get to finish when the server stops.",
    ),
    Setting(
        "heartbeat_s",
        "WAYSTATION_HEARTBEAT_SECS",
        values.number(above=0),
        "Seconds between two signs of life on an answer that waits for a run.",
    ),
    Setting(
        "resumable_ttl_s",
        "RESUMABLE_STREAM_TTL_SECONDS",
        values.number(least=0),
        "Seconds that the events of a resumable stream are kept after its run.",
    ),
    Setting(
        "event_streaming",
        "FF_V2_EVENT_STREAMING",
        values.switch,
        "Whether the event streaming protocol (version 2) is served.",
    ),
    Setting(
        "event_buffer",
        "LSD_PROTOCOL_V2_BUFFER_SIZE",
        values.whole_number(1),
        "Events of the event streaming protocol that a process keeps of each thread that somebody follows; a client that falls "
        "further behind has to reconnect.",
    ),
    Setting(
        "checkpoint_cache_mb",
        "WAYSTATION_CHECKPOINT_CACHE_MB",
        values.number(least=0),
        "Megabytes of the newest state of recently used threads that a process keeps, so that an active conversation is not read again.",
    ),
    Setting(
        "max_body_bytes",
        "HTTP_MAX_REQUEST_BODY_BYTES",
        values.whole_number(1),
        "Largest request body in bytes; larger ones are answered 413.",
    ),
    Setting(
        "http.mount_prefix",
        "MOUNT_PREFIX",
        values.text,
        "Path that all routes move under; wins over `http.mount_prefix`.",
        default="none",
    ),
    Setting(
        "http.cors",
        "CORS_CONFIG",
        values.json_object,
        "CORS policy as JSON; wins over `http.cors` and replaces the default policy entirely.",
        default="none",
    ),
    Setting(
        "cors_allow_origins",
        "CORS_ALLOW_ORIGINS",
        values.words,
        "Comma-separated origins allowed by the default CORS policy; used when no CORS policy is given.",
        default="`*`",
    ),
    Setting(
        "thread_ttl",
        "LANGGRAPH_THREAD_TTL",
        values.text,
        "Time to live of threads: minutes, or JSON like `checkpointer.ttl`, over which it wins.",
        default="none",
    ),
    Setting(
        "graph_configs",
        "LANGGRAPH_CONFIG",
        values.json_object,
        "JSON object: graph id to the config of its default assistant.",
        default="none",
    ),
    Setting("crons_enabled", "FF_CRONS_ENABLED", values.switch, "Serve the routes of crons, and fire them."),
    Setting(
        "a2a_assistant_id",
        "DEFAULT_A2A_ASSISTANT_ID",
        values.text,
        "The assistant whose agent card `/.well-known/agent-card.json` shows when the query names none.",
    ),
    Setting(
        "cron_interval_s",
        "CRON_SCHEDULER_SLEEP_TIME",
        values.number(above=0),
        "Seconds after which the scheduler looks at last for crons that another process has made or changed. Those of its own, "
        "and those it knows, it fires on time.",
    ),
    Setting(
        "default_model",
        "WAYSTATION_DEFAULT_MODEL",
        values.text,
        "Model of deep agents that name none: `provider:model`, or a name from `WAYSTATION_MODELS`. `demo:chat` needs no key.",
    ),
    Setting(
        "models",
        "WAYSTATION_MODELS",
        values.model_configurations,
        "JSON object: the models that deep agents can name without a colon, each an object with `model` (`provider:model`) and "
        "further arguments of `init_chat_model`.",
        default="none",
    ),
    Setting(
        "allow_private_urls",
        "WAYSTATION_ALLOW_PRIVATE_URLS",
        values.switch,
        "Let webhooks, MCP servers and other addresses that users give lead to private networks and to this machine, and MCP "
        "servers be plain http.",
    ),
    Setting(
        "webhooks.secrets",
        "WAYSTATION_WEBHOOK_SECRET",
        values.secrets,
        "Key that webhooks are signed with (`Waystation-Signature`); several, with commas, while a key is being replaced.",
        default="none",
    ),
    Setting(
        "webhooks.attempts",
        "WAYSTATION_WEBHOOK_ATTEMPTS",
        values.whole_number(1),
        "How often a webhook is tried before it is given up.",
        default="`10`",
    ),
    Setting(
        "webhooks.backoff_s",
        "WAYSTATION_WEBHOOK_BACKOFF_SECS",
        values.number(above=0),
        "Seconds until a webhook that failed is tried again; they double with each attempt.",
        default="`1`",
    ),
    Setting(
        "webhooks.backoff_max_s",
        "WAYSTATION_WEBHOOK_BACKOFF_MAX_SECS",
        values.number(above=0),
        "The most seconds between two attempts.",
        default="`600`",
    ),
    Setting(
        "webhooks.log_days",
        "WAYSTATION_WEBHOOK_LOG_DAYS",
        values.number(above=0),
        "Days for which it is kept what became of a webhook.",
        default="`7`",
    ),
    Setting(
        "trace_endpoint",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        values.text,
        "Where OpenTelemetry traces go (OTLP over HTTP). The other `OTEL_*` variables have their usual meaning.",
        aliases=("OTEL_EXPORTER_OTLP_ENDPOINT",),
    ),
    Setting(
        "trace_exporters",
        "OTEL_TRACES_EXPORTER",
        values.words,
        "Comma-separated exporters of traces: `otlp`, `console`, or others that are installed; `none` for no traces.",
        default="`otlp` with an endpoint, else none",
    ),
    Setting("tracing_disabled", "OTEL_SDK_DISABLED", values.switch, "Make no traces at all."),
    Setting("log_level", "LOG_LEVEL", values.log_level, "DEBUG, INFO, WARNING, ERROR or CRITICAL."),
    Setting("log_json", "LOG_JSON", values.switch, "Log one JSON object a line."),
    Setting("log_color", "LOG_COLOR", values.switch, "Colour the log when it goes to a terminal."),
)

SECTIONS: Mapping[str, str] = {
    "LANGSERVE_GRAPHS": "graphs",
    "LANGGRAPH_HTTP": "http",
    "LANGGRAPH_STORE": "store",
    "LANGGRAPH_CHECKPOINTER": "checkpointer",
    "LANGGRAPH_AUTH": "auth",
    "LANGGRAPH_ENCRYPTION": "encryption",
    "LANGGRAPH_WEBHOOKS": "webhooks",
    "LANGGRAPH_UI": "ui",
}
"""Variables that hold, as JSON, a section of ``langgraph.json`` and replace it: how images receive their configuration."""


def read(variables: Mapping[str, str]) -> dict[str, Any]:
    """The settings given in `variables`, by name. An empty value counts as unset. Raises ConfigError."""
    found = {}
    for setting in SETTINGS:
        for variable in (setting.variable, *setting.aliases):
            if (given := variables.get(variable, "").strip()) != "":
                found[setting.name] = parse(variable, given, setting.parse)
                break
    return found


def parse(variable: str, given: str, parser: Callable[[str], Any]) -> Any:
    """`given` through `parser`; its ValueError becomes a ConfigError that names the variable."""
    try:
        return parser(given)
    except ValueError as error:
        shown = "" if parser in values.NOT_SHOWN else f"; it is {given[:60]!r}"
        raise ConfigError(f"Environment variable {variable} {error}{shown}.") from None


def default_of(setting: Setting) -> str:
    """The default of `setting` as the documentation shows it."""
    if setting.default is not None:
        return setting.default
    field = next(field for field in dataclasses.fields(Config) if field.name == setting.name)
    if field.default is None:
        return "none"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`"
