"""What a process does: everything, the HTTP API, or executing runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from waystation.errors import ConfigError

if TYPE_CHECKING:
    from waystation.config import Config

__all__ = ["Role", "require_shared"]

Role = Literal["all", "api", "worker"]
"""``api`` serves clients and leaves runs to other processes; ``worker`` executes runs and serves no clients."""


def require_shared(config: Config, what: str) -> None:
    """Raise ConfigError unless `config` names a database and a bus that processes share, which `what` needs."""
    given = {"DATABASE_URI": config.database_uri, "REDIS_URI": config.redis_uri}
    if missing := [name for name, value in given.items() if not value]:
        raise ConfigError(
            f"{what} needs a database and a bus that processes can share: PostgreSQL and Redis (or Valkey). "
            f"Set {' and '.join(missing)}. Without them one process does everything: waystation serve."
        )
