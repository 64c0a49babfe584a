"""What a project asks for and the server cannot do is never dropped in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from waystation.config import Config, announce, load_config
from waystation.errors import ConfigError


def load(tmp_path: Path, environ: dict[str, str], **keys: Any) -> Config:
    path = tmp_path / "langgraph.json"
    path.write_text(json.dumps({"graphs": {}, **keys}))
    return load_config(path, environ)


@pytest.mark.parametrize(
    ("name", "keys", "environ"),
    [
        ("LANGGRAPH_AUTH_TYPE", {}, {"LANGGRAPH_AUTH_TYPE": "langsmith"}),
        ("REDIS_CLUSTER", {}, {"REDIS_CLUSTER": "true"}),
    ],
)
def test_a_missing_protection_stops_the_start(
    tmp_path: Path, name: str, keys: dict[str, Any], environ: dict[str, str]
) -> None:
    config = load(tmp_path, environ, **keys)

    assert config.unsupported == (name,)
    with pytest.raises(ConfigError, match=name):
        announce(config)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("auth.allow_langsmith_api_keys", {"auth": {"path": "./a.py:a", "allow_langsmith_api_keys": True}}),
        ("priority", {"priority": {"path": "./p.py:p"}}),
        ("ui", {"ui": {"agent": "./ui.tsx"}}),
        ("ui_config", {"ui_config": {"shared": ["react"]}}),
        ("checkpointer.backend", {"checkpointer": {"backend": "mongo"}}),
        ("checkpointer.path", {"checkpointer": {"path": "./c.py:c"}}),
        ("checkpointer.serde", {"checkpointer": {"serde": {"pickle_fallback": True}}}),
    ],
)
def test_another_missing_feature_is_a_warning(tmp_path: Path, name: str, keys: dict[str, Any]) -> None:
    config = load(tmp_path, {}, **keys)
    assert config.unsupported == (name,)

    with capture_logs() as logs:
        announce(config)
    assert [(entry["log_level"], entry["setting"]) for entry in logs] == [("warning", name)]


def test_a_missing_feature_that_a_variable_asks_for(tmp_path: Path) -> None:
    assert load(tmp_path, {"A2A_A2UI_ENABLED": "true"}).unsupported == ("A2A_A2UI_ENABLED",)
    assert load(tmp_path, {"A2A_A2UI_ENABLED": "false"}).unsupported == ()


def test_notices_are_logged(tmp_path: Path) -> None:
    config = load(tmp_path, {"BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": "3601"})

    with capture_logs() as logs:
        announce(config)
    assert "3601 seconds" in logs[0]["notice"]


@pytest.mark.parametrize(
    ("http", "told"),
    [
        ({"enable_custom_route_auth": True}, "http.enable_custom_route_auth: has no effect without http.app"),
        ({"middleware_order": "auth_first"}, "http.middleware_order: has no effect without http.app"),
        ({"app": "./a.py:app", "enable_custom_route_auth": True}, "no effect on a server without authentication"),
    ],
)
def test_settings_of_a_custom_app_that_do_nothing(tmp_path: Path, http: dict[str, Any], told: str) -> None:
    (notice,) = load(tmp_path, {}, http=http).notices
    assert told in notice


def test_a_custom_app_needs_a_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"http.app: './app.py' must be './path/file.py:variable'"):
        load(tmp_path, {}, http={"app": "./app.py"})


@pytest.mark.parametrize("value", ["", "noop", "none"])
def test_no_authentication_asked_for_is_fine(tmp_path: Path, value: str) -> None:
    announce(load(tmp_path, {"LANGGRAPH_AUTH_TYPE": value, "WAYSTATION_AUTH": value}))


def test_postgresql_and_redis_are_fine(tmp_path: Path) -> None:
    environ = {"DATABASE_URI": "postgresql://x", "REDIS_URI": "redis://y", "REDIS_CLUSTER": "false"}
    config = load(tmp_path, environ)

    with capture_logs() as logs:
        announce(config)
    assert logs == []
    assert (config.database_uri, config.redis_uri) == ("postgresql://x", "redis://y")
