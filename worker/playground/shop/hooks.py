"""Receiving payproof's webhooks (https://www.standardwebhooks.com): check the sender, drop doubles, then believe.

The signature covers the bytes as they came. No code may parse and rewrite the body before the signature is checked.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from worker.playground.shop.books import Books, Event

KEPT_IDS = 10_000


class Forged(Exception):
    """Not signed with our secret, or signed too long ago: answer 401, so that a wrong secret is noticed."""


class Unreadable(Exception):
    """Validly signed, and not an event: answer 400."""


class Head(msgspec.Struct, frozen=True):
    """The fields that every CloudEvent has, of any type."""

    type: str


class Hooks:
    """`seen` holds the ids of the last deliveries; the books drop doubles too, so forgetting the oldest is safe."""

    def __init__(self, secret: str, books: Books) -> None:
        self._webhook, self._books = Webhook(secret), books
        self._seen: dict[str, None] = {}

    def receive(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Take one delivery. Returns whether it was news. Raises Forged and Unreadable."""
        try:
            self._webhook.verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as error:  # a signature that is no base64 is a ValueError
            raise Forged(str(error)) from None
        delivery = headers["webhook-id"]
        if delivery in self._seen:
            return False
        try:
            if not msgspec.json.decode(body, type=Head).type.startswith("payment."):
                return False  # such as payproof.test; an unknown type is no reason to refuse it
            news = self._books.take(msgspec.json.decode(body, type=Event), "webhook")
        except (msgspec.MsgspecError, RecursionError) as error:
            raise Unreadable(str(error)) from None
        self._seen[delivery] = None  # after it was taken: a delivery that failed here may come again
        if len(self._seen) > KEPT_IDS:
            del self._seen[next(iter(self._seen))]
        return news
