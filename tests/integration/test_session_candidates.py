"""One session of a gateway pays one order, however many payments present it at the same moment."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from consumers.commands.open_payment import open_payment
from consumers.pipeline import take_claims
from consumers.ports.openings import Opened
from consumers.ports.reply import Reply
from consumers.record_replies import record_replies
from consumers.rules import Rules
from schemas.checks import Checks
from schemas.words import Hold, Status
from tests.fakes.drive import answered
from tests.fakes.providers import INVOICES
from tests.integration.conformance_ledger import a_claim, a_payment
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.queue.turns import PostgresTurns
from worker.postgres.reads.find import find_payments

RULES = Rules(accounts={INVOICES.id: INVOICES}, checks=Checks(), public_url="https://pay.example")
ORDERS = 6


async def opened(database: Database) -> str:
    now = database.clock.now()
    row = a_payment(
        account=INVOICES.id,
        merchant=INVOICES.merchant,
        provider=INVOICES.provider.name,
        opened_at=now,
        expires_at=now + timedelta(hours=1),
    )

    async def call(_: object) -> Opened:
        return Opened(checkout_url="https://gateway.example/pay")

    return (await open_payment(PostgresLedger(database), RULES, row, {"reference": row.reference}, call)).id


@pytest.mark.parametrize("transaction_id", ["T-1", None], ids=["with its transaction", "without a transaction"])
async def test_one_session_never_pays_two_orders(database: Database, transaction_id: str | None) -> None:
    """The gateway contradicts itself: it echoes the reference of each order that it is asked about."""
    ids = [await opened(database) for _ in range(ORDERS)]
    turns = PostgresTurns(database)

    async def told(payment_id: str) -> None:
        ledger = PostgresLedger(database)
        now = database.clock.now()
        claim = a_claim(account=INVOICES.id, payment_id=payment_id, session_id="INV1", received_at=now)
        (asked,) = (await take_claims(ledger, RULES, [claim], turns)).questions
        assert asked.question.session_id == "INV1"
        now = database.clock.now()
        reply = Reply(
            payment_id=payment_id,
            question=asked.question,
            asked_at=asked.asked_at,
            answered_at=now,
            outcome=answered(asked, Status.COMPLETED, transaction_id=transaction_id),
        )
        await record_replies(ledger, RULES, [(asked, reply)], now)

    try:
        await asyncio.gather(*map(told, ids))
    finally:
        await turns.close()
    readings = (await PostgresLedger(database).look([], ids)).readings
    payments = [readings[one].case.payment for one in ids]
    paid = [one for one in payments if one.status is Status.COMPLETED]
    others = [one for one in payments if one.status is not Status.COMPLETED]
    assert [(one.session_id, one.hold) for one in paid] == [("INV1", None)]
    assert len(others) == ORDERS - 1
    assert {(one.status, one.hold, one.session_id) for one in others} == {
        (Status.PENDING, Hold.IDENTITY_MISMATCH, None)
    }
    assert await find_payments(database, "INV1", [INVOICES.merchant]) == paid
