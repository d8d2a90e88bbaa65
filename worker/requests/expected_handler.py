"""Registering a payment by message: what a shop published is read, checked as its POST would be, and taken on.

The one thing to get wrong: who may say it. The broker lets in whoever may write there, and the message names its
merchant; so a key that the broker can hold a shop to is compared with that name.
"""

from __future__ import annotations

from typing import Any, Literal

import structlog
from msgspec import Struct

from consumers.commands.open_payment import CheckoutStore, OpeningFailed
from consumers.rules import Rules
from schemas.requests import EXPECTED_PAYMENT, Wrong
from schemas.wire import MAX_BODY, Unreadable, UnsoundText, read_json
from worker.amqp.topology import EXPECTED
from worker.config import Config, Merchant
from worker.requests.payment_request import TO_BLAME, InvalidRequest, track
from worker.runtime.clock import DatabaseClock
from worker.runtime.ids import new_payment_id

log = structlog.get_logger()


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a message registers nothing, in words; `code` and `field` are those of the API's errors."""

    code: str
    reason: str
    field: str = ""


Handled = Literal["registered", "known", "later"]
"""`known`: an equal message, or POST, has made that payment. `later`: one is about to, or has died over it."""


class ExpectedPaymentHandler:
    """Registers for every merchant of the configuration. A message sent to the queue itself has its name as key."""

    def __init__(self, openings: CheckoutStore, rules: Rules, config: Config, clock: DatabaseClock) -> None:
        self._openings, self._rules, self._config, self._clock = openings, rules, config, clock

    async def reach(self) -> None:
        """Ask the ledger for anything, to learn whether it is there. Raises what it raises when it is away."""
        await self._openings.holder("", "")

    async def handle(self, key: str, body: bytes) -> Handled | Refusal:
        """Take on the payment that a message tells of, published with this key. Raises what the ledger does."""
        if len(body) > MAX_BODY:
            return Refusal(code="too_large", reason="a body has at most 64 KiB")
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
        """The merchant, and what it would have posted. Raises InvalidRequest."""
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
