"""Authentication by API key: ``X-Api-Key``, or ``Authorization: Bearer``.

A key that was found valid is trusted for half a second without asking the database again. That is how a revocation reaches
every process within a second, without any signal that could get lost. What is streamed to its caller then ends within another
(`waystation.auth.revocation`).
"""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope

from waystation.auth import key_queries, keys
from waystation.auth.access import Access
from waystation.auth.caller import Caller, Documentation, PathParameters
from waystation.auth.expiring import Expiring
from waystation.auth.key_queries import StoredKey
from waystation.auth.members import service_uuid, user_uuid
from waystation.auth.revocation import Revocations
from waystation.auth.user import User
from waystation.storage.database import Database
from waystation.timestamps import MICROSECONDS, now_us

__all__ = ["ApiKeys"]

log = structlog.get_logger("waystation.auth")

TRUSTED_S = 0.5
"""How long a key counts as valid after the database has said so."""

KEPT = 10_000
"""Keys remembered at the same time."""

NOTED_S = 60
"""How often the use of a key is noted at most."""

SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}


class ApiKeys:
    """`Authentication` by the keys in the database."""

    def __init__(self, db: Database) -> None:
        self.documentation = Documentation(SCHEMES, [{"ApiKey": []}, {"Bearer": []}], {})
        self.path_parameters: PathParameters = lambda _scope: {}
        self._db = db
        self._known: Expiring[tuple[StoredKey, Caller]] = Expiring(TRUSTED_S, KEPT)
        self._revocations = Revocations(db)
        self._noted: Expiring[bool] = Expiring(NOTED_S, KEPT)

    async def caller(self, scope: Scope, receive: Receive) -> Caller:
        text = _given(Headers(scope=scope))
        if text is None:
            raise _refused("An API key is needed: send it as X-Api-Key.")
        key_id = keys.key_id_of(text)
        if key_id is None:
            raise _refused("The API key is not valid.")
        found = self._known.get(key_id)
        if found is None:
            stored = await self._db.lookup(key_queries.find, key_id)
            if stored is None or stored.revoked_at is not None:
                raise _refused("The API key is not valid.")
            found = stored, self._caller(stored)
        stored, caller = found
        if not keys.matches(text, stored.digest):
            raise _refused("The API key is not valid.")
        if self._known.get(key_id) is None:
            self._known.put(key_id, found)
        self._note_use(key_id)
        return caller

    def _caller(self, key: StoredKey) -> Caller:
        fields: dict[str, Any] = {
            "identity": key.key_id if key.user_id is None else key.user_id,
            "display_name": key.user_id or f"service of {key.workspace}",
            "is_authenticated": True,
            "permissions": [],
            "workspace": key.workspace,
        }
        user = User(fields)
        until_refused = partial(self._revocations.wait, key.key_id)
        member = service_uuid(key.workspace) if key.user_id is None else user_uuid(key.user_id)
        access = Access(key.user_id, (), key.workspace, member=member)
        return Caller(access, user, user, until_refused=until_refused)

    def _note_use(self, key_id: str) -> None:
        """Have the use of the key recorded some time soon: the request does not wait for that."""
        if self._noted.get(key_id):
            return
        self._noted.put(key_id, True)
        now = now_us()
        self._db.post(key_queries.touch, key_id, now, now - NOTED_S * MICROSECONDS).add_done_callback(_warn)


def _given(headers: Headers) -> str | None:
    if (key := headers.get("x-api-key")) is not None:
        return key.strip()
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _refused(why: str) -> HTTPException:
    return HTTPException(401, why, {"WWW-Authenticate": "Bearer"})


def _warn(noted: Future[None]) -> None:
    if not noted.cancelled() and (error := noted.exception()) is not None:
        log.warning("the use of an API key could not be noted", error=str(error))
