"""Environment variables: typed, checked, and documented by one registry."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from waystation.config import Config
from waystation.config.project import Http, Project
from waystation.config.reference import render
from waystation.config.settings import SETTINGS, read
from waystation.errors import ConfigError

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("N_JOBS_PER_WORKER", "0", "jobs_per_worker", 0),
        ("BG_JOB_TIMEOUT_SECS", "1.5", "job_timeout_s", 1.5),
        ("BG_JOB_MAX_RETRIES", "1", "job_max_retries", 1),
        ("BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS", "0", "shutdown_grace_s", 0),
        ("RESUMABLE_STREAM_TTL_SECONDS", "10", "resumable_ttl_s", 10),
        ("HTTP_MAX_REQUEST_BODY_BYTES", "1024", "max_body_bytes", 1024),
        ("WAYSTATION_HEARTBEAT_SECS", "0.5", "heartbeat_s", 0.5),
        ("LOG_LEVEL", "warn", "log_level", "WARNING"),
        ("LOG_JSON", "TRUE", "log_json", True),
        ("LOG_COLOR", "off", "log_color", False),
        ("DATABASE_URI", "postgres://x", "database_uri", "postgres://x"),
        ("POSTGRES_URI", "postgres://y", "database_uri", "postgres://y"),
        ("POSTGRES_URI_CUSTOM", "postgresql://z", "database_uri", "postgresql://z"),
        ("REDIS_URI", "rediss://z", "redis_uri", "rediss://z"),
        ("REDIS_URI_CUSTOM", "redis://z", "redis_uri", "redis://z"),
        ("REDIS_KEY_PREFIX", "team", "redis_key_prefix", "team"),
        ("LANGGRAPH_POSTGRES_POOL_MAX_SIZE", "2", "postgres_pool_size", 2),
        ("WAYSTATION_MAX_PENDING_RUNS", "0", "max_pending_runs", 0),
        ("WAYSTATION_LEASE_SECS", "1.5", "lease_s", 1.5),
    ],
)
def test_a_variable_becomes_a_typed_value(variable: str, text: str, name: str, value: Any) -> None:
    assert read({variable: text}) == {name: value}


def test_a_variable_wins_over_its_alias_and_an_empty_one_is_unset() -> None:
    first, second = "postgresql://a", "postgresql://b"
    assert read({"DATABASE_URI": first, "POSTGRES_URI": second}) == {"database_uri": first}
    assert read({"DATABASE_URI": " ", "POSTGRES_URI": second}) == {"database_uri": second}
    assert read({"N_JOBS_PER_WORKER": ""}) == {}


@pytest.mark.parametrize(
    ("variable", "text", "cause"),
    [
        ("N_JOBS_PER_WORKER", "ten", "must be a whole number"),
        ("N_JOBS_PER_WORKER", "-1", "must be at least 0"),
        ("BG_JOB_MAX_RETRIES", "0", "must be at least 1"),
        ("BG_JOB_TIMEOUT_SECS", "0", "must be more than 0"),
        ("BG_JOB_TIMEOUT_SECS", "inf", "must be a finite number"),
        ("BG_JOB_TIMEOUT_SECS", "soon", "must be a number"),
        ("RESUMABLE_STREAM_TTL_SECONDS", "-1", "must be at least 0"),
        ("LOG_LEVEL", "loud", "must be one of DEBUG, INFO"),
        ("LOG_JSON", "maybe", "must be true or false"),
        ("CORS_CONFIG", "[]", "must be a JSON object"),
        ("LANGGRAPH_CONFIG", "{", "is not JSON"),
        ("DATABASE_URI", "sqlite:///x.db", "must start with postgresql://"),
        ("REDIS_URI", "localhost:6379", "must start with redis://"),
        ("LANGGRAPH_POSTGRES_POOL_MAX_SIZE", "1", "must be at least 2"),
        ("WAYSTATION_LEASE_SECS", "0.5", "must be at least 1"),
        ("WAYSTATION_SECRET_KEY", "short", "must hold random keys of at least 32 characters"),
        ("WAYSTATION_MCP_CALL_TIMEOUT_SECS", "0", "must be more than 0"),
        ("WAYSTATION_MAX_PENDING_RUNS", "-1", "must be at least 0"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_cause(variable: str, text: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable} {cause}"):
        read({variable: text})


def test_a_bad_address_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigError) as refusal:
        read({"DATABASE_URI": "mysql://user:secret@host/db"})
    assert "secret" not in refusal.value.message


def test_the_registry_knows_every_plain_setting_of_the_config() -> None:
    plain = {
        field.name
        for field in dataclasses.fields(Config)
        if field.type in ("int", "float", "bool", "str", "str | None")
    }

    assert plain <= {setting.name for setting in SETTINGS}


def test_the_documentation_equals_the_registry() -> None:
    document = DOCUMENT.read_text("utf-8")

    assert all(f"| `{setting.variable}`" in document for setting in SETTINGS)
    assert render(document) == document, "run: python -m waystation.config.reference docs/configuration.md"


def test_every_key_of_the_file_is_documented() -> None:
    document = DOCUMENT.read_text("utf-8")
    keys = {*Project.model_fields, *Http.model_fields} - {"json_schema", "store", "checkpointer", "app"}

    for key in keys:
        assert f"`{key}`" in document or f"`http.{key}`" in document, key
