"""The worker that executes dies: its turn ends with its session, and the redelivered claim asks Query."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from consumers.commands.open_payment import open_payment
from consumers.pipeline import AssignedQuestion, take_claims
from consumers.ports.openings import Opened
from consumers.ports.reply import Reply
from consumers.record_replies import record_replies
from consumers.rules import Rules
from schemas.checks import Checks
from schemas.payments import Payment
from schemas.words import QuestionKind, Status
from tests.fakes.drive import answered, executed
from tests.fakes.providers import EXECUTING
from tests.integration.conformance_ledger import a_claim, a_payment
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.queue.turns import PostgresTurns

RULES = Rules(accounts={EXECUTING.id: EXECUTING}, checks=Checks(), public_url="https://pay.example")


@pytest.fixture
async def two(database: Database) -> AsyncIterator[tuple[PostgresTurns, PostgresTurns]]:
    """The turns of two processes."""
    turns = PostgresTurns(database), PostgresTurns(database)
    yield turns
    for one in turns:
        await one.close()


async def opened(database: Database) -> Payment:
    now = database.clock.now()
    row = a_payment(
        account=EXECUTING.id,
        merchant=EXECUTING.merchant,
        provider=EXECUTING.provider.name,
        opened_at=now,
        expires_at=now + timedelta(hours=1),
    )

    async def call(_: Payment) -> Opened:
        return Opened(session_id="S-1", checkout_url="https://gateway.example/pay")

    return await open_payment(PostgresLedger(database), RULES, row, {"reference": row.reference}, call)


async def hear(database: Database, assigned: AssignedQuestion, status: Status) -> None:
    now, execute = database.clock.now(), assigned.question.kind is QuestionKind.EXECUTE
    outcome = executed(assigned, "completed", status) if execute else answered(assigned, status)
    reply = Reply(
        payment_id=assigned.expected.payment_id,
        question=assigned.question,
        asked_at=assigned.asked_at,
        answered_at=now,
        outcome=outcome,
    )
    await record_replies(PostgresLedger(database), RULES, [(assigned, reply)], now)


async def test_query_is_asked_as_soon_as_the_session_of_whoever_executes_has_ended(
    database: Database, two: tuple[PostgresTurns, PostgresTurns]
) -> None:
    ledger, payment = PostgresLedger(database), await opened(database)
    dying, other = two
    claim = a_claim(account=EXECUTING.id, payment_id=payment.id, received_at=database.clock.now())
    (execute,) = (await take_claims(ledger, RULES, [claim], dying)).questions
    assert (execute.question.kind, execute.claims) == (QuestionKind.EXECUTE, (claim,))
    while_it_lives = await take_claims(ledger, RULES, [claim], other)
    assert (while_it_lives.questions, while_it_lives.waiting) == ([], [claim])
    await dying.close()
    (query,) = (await take_claims(ledger, RULES, [claim], other)).questions
    assert (query.question.kind, query.claims, query.lost) == (QuestionKind.STATUS, (claim,), True)
    assert query.asked_at - execute.asked_at < timedelta(seconds=10)
    await hear(database, query, Status.COMPLETED)
    found = (await ledger.look([], [payment.id])).readings[payment.id].case.payment
    assert (found.status, found.execute_tries, found.execute_state) == (Status.COMPLETED, 1, None)
    await hear(database, execute, Status.COMPLETED)  # it had lost only its session
    again = (await ledger.look([], [payment.id])).readings[payment.id].case.payment
    assert (again.status, again.version) == (found.status, found.version)
