"""The signature by which a receiver knows that a webhook comes from here, and when it was sent.

``Waystation-Signature: t=1767225600,v1=<hex>``, where ``v1`` is the HMAC-SHA256 of ``<t>.<body>`` with the shared key. While a
key is being replaced there is a ``v1`` for each. `docs/webhooks.md` tells receivers how to check it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

__all__ = ["SIGNATURE_HEADER", "signature"]

SIGNATURE_HEADER = "Waystation-Signature"


def signature(secrets: Iterable[str], timestamp_s: int, body: bytes) -> str:
    """The header's value for a `body` that is sent at `timestamp_s` (seconds since the epoch)."""
    signed = f"{timestamp_s}.".encode() + body
    digests = (hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets)
    return ",".join([f"t={timestamp_s}", *(f"v1={digest}" for digest in digests)])
