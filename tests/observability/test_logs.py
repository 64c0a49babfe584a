"""What the log shows, and what it never shows."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from waystation.observability.logs import configure_logs, context

log = structlog.get_logger("waystation.test")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    names = ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "httpcore")
    configuration = structlog.get_config()
    handlers, level, levels = root.handlers, root.level, {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.configure(**configuration)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", json=True)
    log.info("run started", attempt=2, odd={1})
    log.debug("too much")
    (line,) = lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line.pop("timestamp"))
    assert line == {"event": "run started", "level": "info", "logger": "waystation.test", "attempt": 2, "odd": [1]}


def test_libraries_log_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", json=True)
    with context(run_id="r1"):
        logging.getLogger("some.library").warning("retrying in %s s", 3)
    logging.getLogger("uvicorn.error").info("started")
    first, second = lines(capsys)
    assert (first["event"], first["logger"], first["run_id"]) == ("retrying in 3 s", "some.library", "r1")
    assert second["event"] == "started"


def test_the_access_log_is_off_unless_debugging(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", json=True)
    logging.getLogger("uvicorn.access").info("GET /ok")
    logging.getLogger("httpx").info("HTTP Request: POST https://api")
    assert lines(capsys) == []
    configure_logs("DEBUG", json=True)
    logging.getLogger("uvicorn.access").info("GET /ok")
    assert [line["event"] for line in lines(capsys)] == ["GET /ok"]


async def test_lines_name_the_run_they_belong_to(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", json=True)

    async def work(number: int) -> None:
        with context(run_id=f"r{number}", thread_id="t", request_id=None):
            await asyncio.sleep(0)
            log.info("step", number=number)
            await asyncio.create_task(inner(number))

    async def inner(number: int) -> None:
        log.info("inside", number=number)

    await asyncio.gather(work(1), work(2))
    log.info("outside")
    *inside, outside = lines(capsys)
    assert [(line["run_id"], line["thread_id"]) for line in inside] == [(f"r{line['number']}", "t") for line in inside]
    assert len(inside) == 4
    assert not {"run_id", "thread_id", "request_id"} & set(outside)


SECRETS = [
    "api_key",
    "x-api-key",
    "OPENAI_API_KEY",
    "apikey",
    "Authorization",
    "password",
    "client_secret",
    "secret_key",
    "token",
    "access_token",
    "cookie",
    "Set-Cookie",
    "credentials",
    "private_key",
]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("json_lines", [True, False])
def test_secrets_are_hidden(capsys: pytest.CaptureFixture[str], name: str, json_lines: bool) -> None:
    configure_logs("INFO", json=json_lines)
    log.info("call", **{name: "hunter2"}, headers=[{"deep": {name: "hunter2"}}])
    err = capsys.readouterr().err
    assert "hunter2" not in err
    assert err.count("[redacted]") == 2


def test_passwords_in_urls_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", json=True)
    log.info("connecting to postgres://u:hunter2@db/x", uri="redis://:hunter2@cache:6379", plain="http://host/a@b:c")
    logging.getLogger("library").info("connecting to %s", "postgres://u:hunter2@db/x")
    first, second = lines(capsys)
    assert first["event"] == second["event"] == "connecting to postgres://[redacted]@db/x"
    assert (first["uri"], first["plain"]) == ("redis://[redacted]@cache:6379", "http://host/a@b:c")


@pytest.mark.parametrize("name", ["max_tokens", "token_count", "key", "tokenizer", "author"])
def test_what_only_looks_like_a_secret_is_shown(capsys: pytest.CaptureFixture[str], name: str) -> None:
    configure_logs("INFO", json=True)
    log.info("call", **{name: "shown"})
    assert lines(capsys)[0][name] == "shown"


@pytest.mark.parametrize("json_lines", [True, False])
@pytest.mark.parametrize("logger", [log, logging.getLogger("library")])
def test_tracebacks_do_not_show_variables(capsys: pytest.CaptureFixture[str], json_lines: bool, logger: Any) -> None:
    configure_logs("INFO", json=json_lines)
    password = "hunter" + "2"
    try:
        raise ValueError(len(password))
    except ValueError:
        logger.exception("failed")
    err = capsys.readouterr().err
    assert "ValueError: 7" in err
    assert "Traceback" in err
    assert "hunter2" not in err


def test_people_get_one_plain_line_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", color=True)
    log.warning("slow", seconds=3)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert all(part in err for part in ("warning", "slow", "waystation.test", "seconds=3"))


def test_the_log_can_be_set_up_again(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("ERROR", json=True)
    log.warning("hidden")
    configure_logs("WARNING", json=True)
    log.warning("shown")
    assert [line["event"] for line in lines(capsys)] == ["shown"]


def test_structlogs_own_test_tool_works(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", json=True)
    with structlog.testing.capture_logs() as captured:
        log.info("seen", n=1)
    assert [(entry["event"], entry["n"]) for entry in captured] == [("seen", 1)]
