"""Several paid transactions in one reply, on the real tables: one write, to which the same reply adds nothing."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from consumers.commands.reopen import ReadyToOpen
from consumers.ports.reply import Reply
from consumers.record_replies import record_dead_replies
from schemas.answers import Answer, Question
from schemas.payments import Payment
from schemas.words import Hold, Risk, Status
from tests.fakes.clock import NOON
from tests.fakes.drive import Drive
from tests.fakes.providers import PLAIN
from tests.integration.conformance_ledger import OVER, a_payment
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger


async def a_row(database: Database) -> Payment:
    payment = a_payment(account=PLAIN.id, merchant=PLAIN.merchant, provider=PLAIN.provider.name)
    made = await PostgresLedger(database).create(payment, {"a": "body"}, OVER)
    assert isinstance(made, ReadyToOpen)
    return made.payment


def paid(payment: Payment, transaction_id: str, risk: Risk, **fields: Any) -> Answer:
    return Answer(
        status=Status.COMPLETED,
        word="VALID",
        session_id=f"S-{payment.id}",
        reference=payment.reference,
        transaction_id=transaction_id,
        amount=payment.amount,
        currency=payment.currency,
        fee=Decimal("1.50"),
        risk=risk,
        **fields,
    )


async def told(database: Database, payment: Payment, seconds: int, answer: Answer) -> Payment:
    asked_at = NOON + timedelta(seconds=seconds)
    reply = Reply(
        payment_id=payment.id,
        question=Question(),
        asked_at=asked_at,
        answered_at=asked_at + timedelta(seconds=1),
        outcome=answer,
    )
    ledger = PostgresLedger(database)
    await record_dead_replies(ledger, Drive().rules, [reply])
    return (await ledger.look([], [payment.id])).readings[payment.id].case.payment


async def test_both_transactions_are_kept_and_the_payment_is_completed_and_held(database: Database) -> None:
    payment = await a_row(database)
    one, two = paid(payment, "T1", Risk.HIGH), paid(payment, "T2", Risk.LOW)
    for seconds, first, other in ((10, one, two), (20, two, one)):
        answer = paid(payment, str(first.transaction_id), first.risk or Risk.LOW, others=(other,))
        after = await told(database, payment, seconds, answer)
        assert (after.status, after.holds, after.version) == (Status.COMPLETED, (Hold.DUPLICATE_FOR_ORDER,), 1)
        assert (after.transaction_id, after.risk) == ("T1", Risk.HIGH)
    found = await database.fetch("SELECT fact -> 'answer' AS answer FROM facts WHERE payment_id = $1", payment.id)
    assert {row["answer"]["transaction_id"] for row in found} == {"T1", "T2"}
    assert [row["answer"]["others"] for row in found] == [[], []]
    owned = await database.fetch("SELECT transaction_id FROM transactions WHERE payment_id = $1", payment.id)
    assert {row["transaction_id"] for row in owned} == {"T1", "T2"}


async def test_a_transaction_in_the_list_that_another_payment_has_is_held_as_reused(database: Database) -> None:
    owner, payment = await a_row(database), await a_row(database)
    await told(database, owner, 5, paid(owner, "T2", Risk.LOW))
    after = await told(database, payment, 10, paid(payment, "T1", Risk.LOW, others=(paid(payment, "T2", Risk.HIGH),)))
    assert (after.status, after.holds, after.transaction_id) == (
        Status.COMPLETED,
        (Hold.TRANSACTION_REUSED,),
        "T1",
    )
