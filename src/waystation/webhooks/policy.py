"""Which webhooks are accepted: the ``webhooks.url`` section and what it leaves open (spec 11)."""

from __future__ import annotations

from msgspec import Struct

from waystation.config import Config
from waystation.outgoing import UrlPolicy, UrlRefused

__all__ = ["WebhookPolicy"]


class WebhookPolicy(Struct, frozen=True):
    """Checked when a webhook is named, and again before each request."""

    urls: UrlPolicy
    sent: bool
    """Whether webhooks are delivered at all; they are accepted in any case."""
    local: bool
    """Whether a webhook may be a path of this server: of its custom app, that is."""

    @classmethod
    def of(cls, config: Config) -> WebhookPolicy:
        """What `config` says. What it does not say is what is safe."""
        given, private = config.webhooks, config.allow_private_urls
        require_https = given.has_url_policy and not private
        urls = UrlPolicy(
            allow_loopback=private if given.disable_loopback is None else not given.disable_loopback,
            allow_private=private if given.disable_private_ips is None else not given.disable_private_ips,
            require_https=require_https if given.require_https is None else given.require_https,
            allowed_domains=given.allowed_domains,
            allowed_ports=given.allowed_ports,
            max_length=given.max_url_length,
        )
        return cls(
            urls,
            sent=not config.http.disable_webhooks,
            local=given.disable_loopback is False and config.http.app is not None,
        )

    def check(self, url: str | None) -> None:
        """Raise UrlRefused for a webhook that would not be delivered. Without asking name servers: a run must not wait for them."""
        if url is None or not self.sent:
            return
        if not is_local(url):
            self.urls.check(url)
        elif not self.local:
            raise UrlRefused(
                f"The webhook {url[:200]!r} is not acceptable: a path of this server needs webhooks.url.disable_loopback: false, "
                "and a custom app (http.app), whose routes it may name."
            )
        elif len(url) > self.urls.max_length:
            raise UrlRefused(f"Invalid webhook: it must have at most {self.urls.max_length} characters.")


def is_local(url: str) -> bool:
    """Whether `url` is a path of this server; ``//host/path`` is not."""
    return url.startswith("/") and not url.startswith(("//", "/\\"))
