"""The ``webhooks`` section and its variables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from waystation.config import Config, load_config
from waystation.errors import ConfigError
from waystation.outgoing import UrlRefused
from waystation.webhooks.policy import WebhookPolicy


def load(directory: Path, environ: dict[str, str], webhooks: Any = None) -> Config:
    (directory / "langgraph.json").write_text(json.dumps({"graphs": {"a": "./a.py:a"}, "webhooks": webhooks}))
    return load_config(directory / "langgraph.json", environ)


def test_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    assert (config.webhooks.attempts, config.webhooks.headers, config.webhooks.secrets) == (10, {}, ())
    assert config.allow_private_urls is False
    assert config.unsupported == ()


def test_variables(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {
            "WAYSTATION_WEBHOOK_SECRET": "new, old",
            "WAYSTATION_WEBHOOK_ATTEMPTS": "3",
            "WAYSTATION_WEBHOOK_BACKOFF_SECS": "0.5",
            "WAYSTATION_WEBHOOK_BACKOFF_MAX_SECS": "60",
            "WAYSTATION_WEBHOOK_LOG_DAYS": "1",
            "WAYSTATION_ALLOW_PRIVATE_URLS": "1",
        },
    )
    given = config.webhooks
    assert (given.secrets, given.attempts, given.backoff_s, given.backoff_max_s) == (("new", "old"), 3, 0.5, 60)
    assert (given.log_days, config.allow_private_urls) == (1, True)
    assert "new" not in repr(config)


def test_headers_are_filled_in(tmp_path: Path) -> None:
    headers = {
        "Authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}",
        "X-Plain": "as it is",
        "X-Two": "${{env.LG_WEBHOOK_A}}b",
    }
    config = load(tmp_path, {"LG_WEBHOOK_TOKEN": "s3cret", "LG_WEBHOOK_A": "a"}, {"headers": headers})
    assert config.webhooks.headers == {"Authorization": "Bearer s3cret", "X-Plain": "as it is", "X-Two": "ab"}
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"headers": {"A": "${{ env.LG_WEBHOOK_MISSING }}"}}, "LG_WEBHOOK_MISSING is not set"),
        ({"headers": {"A": "${{ env.HOME }}"}}, "must begin with LG_WEBHOOK_"),
        ({"headers": {"A": "${{ env.LG_WEBHOOK_A }}"}, "env_prefix": "OWN_"}, "must begin with OWN_"),
        ({"headers": {"A": "${{ secrets.A }}"}}, "must have the form"),
        ({"headers": {"A b": "c"}}, "name of a header"),
        ({"headers": {"A": "b\r\nC: d"}}, "printable"),
        ({"allowed_fields": ["nothing"]}, "allowed_fields"),
        ({"url": {"max_url_length": 0}}, "max_url_length"),
        ({"url": {"allowed_ports": ["443"]}}, "allowed_ports"),
    ],
)
def test_what_cannot_be_stops_the_start(tmp_path: Path, section: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load(tmp_path, {"LG_WEBHOOK_A": "a", "HOME": "/root"}, section)


def test_unknown_key_is_told(tmp_path: Path) -> None:
    assert any("webhooks.url.colour" in notice for notice in load(tmp_path, {}, {"url": {"colour": 1}}).notices)


HTTP, LONG = "http://example.com/", "https://example.com/" + "x" * 3000
LOOPBACK, PRIVATE, LOCAL = "https://127.0.0.1/", "https://10.0.0.1/", "/hook"


@pytest.mark.parametrize(
    ("url", "allow_private", "accepted"),
    [
        (None, False, {HTTP, LONG}),
        (None, True, {HTTP, LONG, LOOPBACK, PRIVATE}),
        ({}, False, set()),
        ({}, True, {HTTP, LOOPBACK, PRIVATE}),
        ({"require_https": False, "max_url_length": 4096}, False, {HTTP, LONG}),
        ({"require_https": True}, True, {LOOPBACK, PRIVATE}),
        ({"disable_loopback": False}, False, {LOOPBACK}),
        ({"disable_private_ips": False}, False, {PRIVATE}),
        ({"disable_loopback": True, "disable_private_ips": True}, True, {HTTP}),
        ({"allowed_domains": ["EXAMPLE.com"], "require_https": False}, True, {HTTP}),
        ({"allowed_ports": [8080]}, True, set()),
    ],
)
def test_which_urls_are_accepted(tmp_path: Path, url: Any, allow_private: bool, accepted: set[str]) -> None:
    config = load(tmp_path, {}, None if url is None else {"url": url})
    policy = WebhookPolicy.of(replace(config, allow_private_urls=allow_private))

    def accepts(each: str) -> bool:
        try:
            policy.check(each)
        except UrlRefused:
            return False
        return True

    assert {each for each in (HTTP, LONG, LOOPBACK, PRIVATE, LOCAL) if accepts(each)} == accepted
    assert accepts("https://example.com/") == (url != {"allowed_ports": [8080]})
