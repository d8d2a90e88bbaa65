"""The configured endpoints, each with the id that it has in the database, in commands and in timelines.

The id is made from merchant and URL alone. So an endpoint keeps its deliveries when its secret changes, or when the
configuration is sorted anew.
"""

from __future__ import annotations

from hashlib import sha256

from msgspec import Struct

from schemas.secret import Secret
from schemas.words import EventType
from worker.config import Config, Webhook
from worker.config.consistency import split_url


class Endpoint(Struct, frozen=True, kw_only=True):
    """`secrets` sign, the newest first; `types` are the events that it wants.

    Of its URL only `host` is shown to others.
    """

    id: str
    merchant: str
    url: str
    host: str
    secrets: tuple[Secret, ...]
    types: tuple[str, ...]


def endpoints_of(config: Config) -> tuple[Endpoint, ...]:
    return tuple(endpoint_of(merchant.id, webhook) for merchant in config.merchants for webhook in merchant.webhooks)


def endpoint_of(merchant: str, webhook: Webhook) -> Endpoint:
    return Endpoint(
        id=endpoint_id(merchant, webhook.url),
        merchant=merchant,
        url=webhook.url,
        host=split_url(webhook.url)[1],
        secrets=(webhook.secret, *webhook.previous_secrets),
        types=tuple(kind.value for kind in EventType if webhook.wants(kind)),
    )


def endpoint_id(merchant: str, url: str) -> str:
    return "wh_" + sha256(f"{merchant}\0{url}".encode()).hexdigest()[:12]
