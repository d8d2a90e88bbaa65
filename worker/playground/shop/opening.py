"""Opening a payment so that an order gets exactly one checkout, whatever is lost on the way.

Do not draw a new reference for every try. The same reference with the same Idempotency-Key is sent again until there is
an answer. A new reference is drawn only when the gateway itself says that it has seen the old one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from worker.playground.shop.client import AWAY, Document, Payproof, Refused

TRIES = 4
WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 10.0
_GATEWAY_AWAY = frozenset({502, 503, 504})


async def open_attempt(payproof: Payproof, order: str, number: int, request: Mapping[str, Any]) -> Document:
    """Open attempt `number` of an order, or a later attempt. Returns the payment. Raises Refused and what AWAY names.

    `request` is the body without `order`, `reference` and the address that a reference makes: `{reference}` in a URL
    stands for it.
    """
    for attempt in range(number, number + TRIES):
        try:
            return await _open(payproof, _body(request, order, reference_of(order, attempt)))
        except Refused as refused:
            # An opening whose answer was lost has used the reference up at the gateway, which opened a checkout that no
            # buyer will see. Payproof goes on asking about it; the buyer pays in a new attempt of the same order.
            if refused.code != "reference_used_at_gateway" or attempt == number + TRIES - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def reference_of(order: str, number: int) -> str:
    """The reference of an attempt: unique for each attempt, and short enough for every gateway."""
    return f"{order}-a{number}"


def next_number(order: str, references: Iterable[str]) -> int:
    """The first number that no attempt of the order has had; some never got a checkout, and are not in the books."""
    had = [reference.removeprefix(f"{order}-a") for reference in references]
    return max((int(one) for one in had if one.isascii() and one.isdigit()), default=0) + 1


async def _open(payproof: Payproof, body: Document) -> Document:
    """Send it until there is an answer: the key makes every repetition the same request."""
    for turn in range(1, TRIES + 1):
        try:
            return await payproof.open(body, idempotency_key=body["reference"])
        except Refused as refused:
            again = refused.status in _GATEWAY_AWAY or refused.retry_after is not None
            if turn == TRIES or not again:
                raise
            wait = refused.retry_after or WAIT_SECONDS * turn
        except AWAY:
            if turn == TRIES:
                raise
            wait = WAIT_SECONDS * turn
        await asyncio.sleep(min(wait, LONGEST_WAIT_SECONDS))
    raise AssertionError("the last turn returns or raises")


def _body(request: Mapping[str, Any], order: str, reference: str) -> Document:
    urls = {name: request[name].replace("{reference}", reference) for name in request if name.endswith("_url")}
    return {**request, **urls, "order": order, "reference": reference}
