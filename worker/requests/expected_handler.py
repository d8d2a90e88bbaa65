"""Registering a payment by message: a shop's message is read, checked like a POST, and its payment tracked.

Every user of the broker who may write to the exchange can name any merchant in a message. So the merchant must be the
message's routing key, to which the broker can restrict a shop's user.
"""

from __future__ import annotations

from typing import Any, Literal

import structlog
from msgspec import Struct

from consumers.commands.open_payment import CheckoutStore, OpeningFailed
from consumers.rules import Rules
from schemas.request_shape import Wrong
from schemas.requests import EXPECTED_PAYMENT
from schemas.wire import MAX_BODY, Unreadable, UnsoundText, read_json
from worker.amqp.message_size import describe, described
from worker.amqp.topology import EXPECTED
from worker.config import Config, Merchant
from worker.requests.payment_request import TO_BLAME, InvalidRequest, track
from worker.runtime.clock import DatabaseClock
from worker.runtime.ids import new_payment_id

log = structlog.get_logger()


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a message registers no payment, in words. `code` and `field` are as in the API's errors."""

    code: str
    reason: str
    field: str = ""


Handled = Literal["registered", "known", "later"]
"""`known`: an equal message or POST registered the payment. `later`: another request for it is under way, or died."""


class ExpectedPaymentHandler:
    """Registers payments of all configured merchants."""

    def __init__(self, openings: CheckoutStore, rules: Rules, config: Config, clock: DatabaseClock) -> None:
        self._openings, self._rules, self._config, self._clock = openings, rules, config, clock

    async def reach(self) -> None:
        """Check that the ledger is there. Raises the ledger's error if it is away."""
        await self._openings.holder("", "")

    async def handle(self, key: str, body: bytes) -> Handled | Refusal:
        """Register the payment of a message, published with the routing key `key`. Raises the ledger's errors."""
        if too_large := described(body if len(body) <= MAX_BODY else describe(body)):
            return Refusal(code="too_large", reason=f"a body has at most 64 KiB; {too_large}")
        try:
            merchant, wanted = self._read(key, read_json(body))
            payment_id, now = new_payment_id(), self._clock.now()
            payment = await track(self._openings, self._rules, merchant, wanted, payment_id=payment_id, now=now)
        except UnsoundText as error:
            return _invalid(InvalidRequest([Wrong(error.path[:200], str(error))]))
        except Unreadable as error:
            return Refusal(code="unreadable_body", reason=f"the body is no sound JSON: {error}")
        except InvalidRequest as error:
            return _invalid(error)
        except OpeningFailed as failed:
            return _failed(failed)
        log.info("payment.registered", payment_id=payment.id, merchant=merchant.id)
        return "registered"

    def _read(self, key: str, body: Any) -> tuple[Merchant, Any]:
        """The merchant, and the body that it would have posted. Raises InvalidRequest.

        The key must be the merchant's id, or the queue's name, as of a message that was sent to the queue itself.
        """
        wrong: list[Wrong] = []
        named = EXPECTED_PAYMENT.read(body, wrong).get("merchant")
        merchant = self._config.merchant(named) if named is not None else None
        if named is not None and merchant is None:
            wrong.insert(0, Wrong("merchant", "there is no such merchant"))
        elif merchant is not None and key not in (merchant.id, EXPECTED):
            wrong.insert(0, Wrong("merchant", "is not the one whose id is the message's routing key"))
        if merchant is None or wrong:
            raise InvalidRequest(wrong)
        return merchant, {name: value for name, value in body.items() if name != "merchant"}


def _invalid(error: InvalidRequest) -> Refusal:
    return Refusal(code="invalid_request", reason=str(error), field=error.wrong[0].field)


def _failed(failed: OpeningFailed) -> Handled | Refusal:
    if failed.code == "reference_used" and failed.equal:
        return "known"
    if failed.retry_after is not None:
        return "later"
    field = TO_BLAME.get(failed.code, "")
    return Refusal(code=failed.code, reason=f"{field}: {failed}" if field else str(failed), field=field)
