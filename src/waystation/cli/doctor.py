"""`waystation doctor`: a report on the set-up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import typer
from msgspec.structs import asdict

from waystation.cli import checks, edge_checks, service_checks
from waystation.cli.checks import Finding
from waystation.cli.serving import configuration
from waystation.errors import ConfigError

__all__ = ["examine"]

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def examine(config_path: Path, host: str, port: int, as_json: bool) -> bool:
    """Print the report on the project at `config_path`; whether nothing failed."""
    findings = list(_findings(config_path, host, port))
    well = all(finding.status != "fail" for finding in findings)
    if as_json:
        typer.echo(json.dumps({"ok": well, "checks": [asdict(finding) for finding in findings]}, indent=2))
    else:
        _print(findings)
    return well


def _findings(config_path: Path, host: str, port: int) -> Iterator[Finding]:
    yield from checks.check_python()
    yield from checks.check_packages()
    try:
        config = configuration(config_path, {})
    except ConfigError as error:
        advice = (
            "Name the file with --config, or create a project: waystation new PATH" if not config_path.exists() else ""
        )
        yield Finding("Configuration", "fail", error.message, advice)
    else:
        yield from checks.check_settings(config)
        yield from checks.check_graphs(config)
        yield from checks.check_custom_app(config)
        if config.database_uri is not None:
            yield from service_checks.check_postgres(config, config.database_uri)
        else:
            yield from checks.check_data_dir(config.data_dir)
            yield from checks.check_database(config.data_dir)
        if config.redis_uri is not None:
            yield from service_checks.check_redis(config.redis_uri)
        yield from edge_checks.check_authentication(config)
        yield from edge_checks.check_encryption(config)
        yield from edge_checks.check_store(config)
        yield from edge_checks.check_webhooks(config)
        yield from edge_checks.check_traces(config)
    yield from checks.check_port(host, port)
    yield from checks.check_clock(config_path.absolute().parent)


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("Check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("Finding", overflow="fold")
    for finding in findings:
        text = Text(finding.message)
        if finding.advice:
            text.append(f"\n→ {finding.advice}", style="italic")
        table.add_row(finding.name, Text(finding.status, style=COLOURS[finding.status]), text)
    Console().print(table)
