"""Requests to addresses that users give: webhooks, and whatever else calls out for them.

Such an address must not lead into the server's own network (server-side request forgery). A `UrlPolicy` says which URLs and
which IP addresses are acceptable; `CheckedTransport` resolves a name once, checks every address that it stands for, and connects
to one of those it has checked. It does so for each request, so that a redirect gets no further than a first request.

    async with httpx.AsyncClient(transport=CheckedTransport(UrlPolicy()), trust_env=False) as client:
        await client.get(url)  # UrlRefused
"""

from waystation.outgoing.addresses import Reach, literal_address, reach_of
from waystation.outgoing.policy import UrlPolicy, UrlRefused
from waystation.outgoing.transport import CheckedTransport, Resolve, resolve

__all__ = [
    "CheckedTransport",
    "Reach",
    "Resolve",
    "UrlPolicy",
    "UrlRefused",
    "literal_address",
    "reach_of",
    "resolve",
]
