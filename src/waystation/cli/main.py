"""The ``waystation`` command: what it offers, and how errors leave it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from waystation.cli.keys import keys
from waystation.cli.listening import is_loopback
from waystation.errors import ConfigError, WaystationError

__all__ = ["app", "main"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 2024
DEFAULT_CONFIG = Path("langgraph.json")

app = typer.Typer(
    name="waystation",
    help="A self-hosted server for LangGraph and Deep Agents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Template(StrEnum):
    """The project templates, by the name of their directory."""

    chat = "chat"
    agent = "agent"
    deepagent = "deepagent"


class LogLevel(StrEnum):
    """The levels of ``LOG_LEVEL``."""

    debug = "DEBUG"
    info = "INFO"
    warning = "WARNING"
    error = "ERROR"
    critical = "CRITICAL"


ConfigFile = Annotated[Path, typer.Option("--config", help="The project's configuration file.")]
Host = Annotated[str, typer.Option("--host", help="The address to listen on.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="The port to listen on; 0 takes a free one.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--n-jobs-per-worker", min=0, help="Runs executed at the same time. [default: N_JOBS_PER_WORKER or 64]"
    ),
]
Level = Annotated[
    LogLevel | None,
    typer.Option("--server-log-level", case_sensitive=False, help="What to log. [default: LOG_LEVEL or INFO]"),
]


def main() -> None:
    """Run the command that `sys.argv` names; exit code 1 and a plain message for an error of ours."""
    try:
        app()
    except WaystationError as error:
        typer.secho(f"Error: {error.message}", fg="red", err=True)
        sys.exit(1)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from waystation import __version__

        typer.echo(f"waystation {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


@app.command()
def new(
    path: Annotated[Path, typer.Argument(help="The directory to create.")],
    template: Annotated[Template, typer.Option("--template", help="What to start from.")] = Template.chat,
) -> None:
    """Create a project that runs without any model key."""
    from waystation.cli.new import create_project, next_steps

    create_project(path, template.value)
    next_steps(path, template.value)


@app.command()
def dev(
    config: ConfigFile = DEFAULT_CONFIG,
    host: Host = DEFAULT_HOST,
    port: Port = DEFAULT_PORT,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Accepted for compatibility: no browser is opened in any case.")
    ] = False,
    no_reload: Annotated[bool, typer.Option("--no-reload", help="Do not watch the project for changes.")] = False,
    n_jobs_per_worker: Jobs = None,
    server_log_level: Level = None,
) -> None:
    """Serve a project while you work on it: SQLite beside the configuration file, reload on change, no authentication.

    A change of a Python file, of the configuration file or of an .env file loads the project anew. A version that does
    not load is reported, and the last good one keeps serving.
    """
    if not is_loopback(host):
        typer.secho(
            f"Warning: there is no authentication, and everyone who can reach {host} can use this server.",
            fg="yellow",
            err=True,
        )
    settings = _settings(n_jobs_per_worker, server_log_level)
    if no_reload or sys.platform == "win32":
        from waystation.cli.serving import serve_here

        serve_here(config, host, port, settings, dev=True)
    else:
        from waystation.cli.supervisor import supervise

        supervise(config, host, port, settings)


@app.command()
def serve(
    config: ConfigFile = DEFAULT_CONFIG,
    host: Host = DEFAULT_HOST,
    port: Port = DEFAULT_PORT,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Execute runs in so many processes beside the one that serves the API."),
    ] = None,
    api_only: Annotated[
        bool, typer.Option("--api-only", help="Execute no runs here: `waystation worker` does elsewhere.")
    ] = False,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Listen beyond loopback without authentication.")] = False,
    n_jobs_per_worker: Jobs = None,
    server_log_level: Level = None,
) -> None:
    """Serve a project in production.

    One process does everything, with a SQLite file, or with PostgreSQL if DATABASE_URI is set. With DATABASE_URI and REDIS_URI
    there may be many: --workers starts them here, --api-only leaves runs to `waystation worker`, here or on other machines.
    """
    if workers is not None and api_only:
        raise ConfigError("--workers executes runs and --api-only does not: choose one.")
    settings = _settings(n_jobs_per_worker, server_log_level)
    if not no_auth and not is_loopback(host):
        from waystation.cli.serving import require_authentication

        require_authentication(config, settings, host)
    if workers is not None:
        from waystation.cli.fleet import serve_fleet

        serve_fleet(config, host, port, workers, settings)
    else:
        from waystation.cli.serving import serve_here

        serve_here(config, host, port, settings, api_only=api_only)


@app.command()
def worker(
    config: ConfigFile = DEFAULT_CONFIG,
    host: Host = DEFAULT_HOST,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Answer /ok and /metrics on this port. [default: no port]"),
    ] = None,
    n_jobs_per_worker: Jobs = None,
    server_log_level: Level = None,
) -> None:
    """Execute the runs that `waystation serve --api-only` takes. Needs DATABASE_URI and REDIS_URI."""
    from waystation.cli.serving import work_here

    work_here(config, host, port, _settings(n_jobs_per_worker, server_log_level))


@app.command()
def migrate(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Bring the database to the schema of this version."""
    from waystation.cli.migrate import migrate_database

    migrate_database(config)


@app.command()
def doctor(
    config: ConfigFile = DEFAULT_CONFIG,
    host: Host = DEFAULT_HOST,
    port: Port = DEFAULT_PORT,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Report what is wrong with the set-up, and what to do about it. Exit code 1 if something fails."""
    from waystation.cli.doctor import examine

    if not examine(config, host, port, as_json):
        raise typer.Exit(1)


app.add_typer(keys, name="keys")


def _settings(jobs: int | None, level: LogLevel | None) -> dict[str, str]:
    """Options as the environment variables they stand for; those of the process give way."""
    settings = {}
    if jobs is not None:
        settings["N_JOBS_PER_WORKER"] = str(jobs)
    if level is not None:
        settings["LOG_LEVEL"] = level.value
    return settings
