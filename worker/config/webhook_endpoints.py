"""The configured endpoints, and the id that each has in the database, in commands and in timelines.

Deliveries belong to the endpoint's row. An endpoint with an `id` in the configuration keeps its row when its URL
changes. Without an `id` the row is found by merchant and URL, so with another URL it is another endpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from schemas.secret import Secret
from schemas.words import EventType
from worker.config import Config, Webhook
from worker.config.url_parts import split_url


class Endpoint(Struct, frozen=True, kw_only=True):
    """`secrets` sign, the newest first; `types` are the events that it wants.

    `id` is that of its row, once `identified` was asked. Of its URL only `host` is shown to others.
    """

    id: str
    configured_id: str | None = None
    merchant: str
    url: str
    host: str
    secrets: tuple[Secret, ...]
    types: tuple[str, ...]

    @property
    def label(self) -> str:
        """How commands name it."""
        return f"{self.id} ({self.configured_id})" if self.configured_id else self.id

    @property
    def shown_url(self) -> str:
        return without_query(self.url)


class EndpointRow(Struct, frozen=True, kw_only=True):
    """What identifies a row of the database. `configured_id` is the id that the configuration gave it, or None."""

    id: str
    merchant: str
    configured_id: str | None


def without_query(url: str) -> str:
    """The URL without its query, which may hold a token."""
    parts = urlsplit(url)
    return parts._replace(query="…" if parts.query else "").geturl()


def endpoints_of(config: Config) -> tuple[Endpoint, ...]:
    """The endpoints of the configuration. Their ids are those of endpoints that have no row yet; see `identified`."""
    return tuple(endpoint_of(merchant.id, webhook) for merchant in config.merchants for webhook in merchant.webhooks)


def endpoint_of(merchant: str, webhook: Webhook) -> Endpoint:
    return Endpoint(
        id=endpoint_id(merchant, webhook.url),
        configured_id=webhook.id,
        merchant=merchant,
        url=webhook.url,
        host=split_url(webhook.url)[1],
        secrets=(webhook.secret, *webhook.previous_secrets),
        types=tuple(kind.value for kind in EventType if webhook.wants(kind)),
    )


def identified(configured: Sequence[Endpoint], rows: Sequence[EndpointRow]) -> tuple[Endpoint, ...]:
    """The endpoints with the ids of their rows, or of the rows that are to be made for them.

    A row that has the endpoint's configured id is its row. Otherwise it is the row of its merchant and URL, unless that
    row is another endpoint's by its configured id: that endpoint had this URL before.

    So a process finds the same row with an old configuration, in which the endpoint has no id or its former URL.
    """
    ids = {row.id for row in rows}
    named: dict[tuple[str, str | None], str] = {
        (row.merchant, row.configured_id): row.id for row in rows if row.configured_id is not None
    }
    taken = {named.get((one.merchant, one.configured_id)) for one in configured}

    def row_of(one: Endpoint) -> str:
        if (row := named.get((one.merchant, one.configured_id))) is not None:
            return row
        by_url, beside = endpoint_id(one.merchant, one.url), endpoint_id(one.merchant, one.url, one.configured_id or "")
        return beside if beside in ids or by_url in taken else by_url

    return tuple(replace(one, id=row_of(one)) for one in configured)


def endpoint_id(merchant: str, *parts: str) -> str:
    return "wh_" + sha256("\0".join((merchant, *parts)).encode()).hexdigest()[:12]
