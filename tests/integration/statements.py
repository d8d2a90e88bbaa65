"""An account with payments in the states that real answers brought them to, and statements of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from consumers.account import Account
from consumers.commands.reopen import ReadyToOpen
from consumers.pipeline import take_claims
from consumers.ports.gateway import Capabilities
from consumers.ports.reply import Reply
from consumers.ports.writes import Keys
from consumers.reconciliation.verdicts import Terms
from consumers.record_replies import record_dead_replies, record_replies
from consumers.rules import Rules
from schemas.answers import Answer, Question
from schemas.callbacks import Claim
from schemas.changes import Change
from schemas.checks import Checks
from schemas.payments import Payment
from schemas.report import Row, Run
from schemas.statements import Line, LineOutcome, Unread
from schemas.words import Status
from tests.fakes.ledger import FakeTurns
from tests.fakes.providers import PLAIN, account
from tests.integration.conformance_ledger import a_payment
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.queue.claim_queue import PostgresBus
from worker.postgres.reads.reading import read_payment
from worker.postgres.statements.runs import read_rows
from worker.reconciliation.run import StatementScope, reconcile_lines

NOON = datetime.fromisoformat("2026-05-17T06:00:00+00:00")
MONTH = (NOON - timedelta(days=15), NOON + timedelta(days=15))
AMOUNT = Decimal("1500.50")
UNTOUCHED = (
    "payments",
    "facts",
    "claims",
    "entries",
    "events",
    "queue",
    "transactions",
    "sessions",
    "followed",
    "orders",
)


def line(row: int, **fields: Any) -> Line:
    given: dict[str, Any] = {
        "row": row,
        "kind": "payment",
        "status": Status.COMPLETED,
        "word": None,
        "amount": AMOUNT,
        "at": NOON + timedelta(minutes=row),
    }
    return Line(**(given | fields))


def refund(row: int, amount: str, **fields: Any) -> Line:
    return line(row, kind="refund", status=Status.REFUNDED, amount=Decimal(amount), **fields)


class Books:
    """One account of one gateway, and all that is known of its payments."""

    def __init__(self, database: Database, can: Capabilities | None = None, name: str = "shop-a") -> None:
        self.database = database
        self.account: Account = account(name, can or PLAIN.provider.capabilities)
        self.ledger, self.bus = PostgresLedger(database), PostgresBus(database)
        self.rules = Rules(accounts={name: self.account}, checks=Checks(), public_url="https://pay.example")

    async def opened(self, reference: str, **fields: Any) -> Payment:
        given = {"account": self.account.id, "reference": reference, "session_id": f"s-{reference}", "opened": True}
        row = a_payment(**(given | {"opened_at": NOON, "expires_at": NOON + timedelta(hours=1)} | fields))
        made = await self.ledger.create(replace(row, session_id=None), {}, timedelta(0))
        assert isinstance(made, ReadyToOpen)
        opened = replace(made.payment, session_id=row.session_id)
        async with self.ledger.batch([row.id]) as batch:
            await batch.reserve([Keys.of(row, sessions=[row.session_id] if row.session_id else [])])
            await batch.store([Change(payment=opened)])
            await batch.commit()
        return opened

    async def answered(self, payment: Payment, status: Status, at: datetime | None = None, **fields: Any) -> None:
        await record_dead_replies(self.ledger, self.rules, [self.reply(payment, status, at, **fields)])

    def reply(self, payment: Payment, status: Status, at: datetime | None = None, **fields: Any) -> Reply:
        at = at or NOON + timedelta(minutes=5)
        given: dict[str, Any] = {
            "session_id": payment.session_id,
            "reference": payment.reference,
            "transaction_id": f"t-{payment.reference}" if status.paid else None,
            "amount": payment.amount,
            "currency": "BDT",
            "fee": Decimal("22.51") if status.paid else None,
            "paid_at": at if status.paid else None,
        }
        answer = Answer(status=status, word=status.upper(), **(given | fields))
        return Reply(payment_id=payment.id, question=Question(), asked_at=at, answered_at=at, outcome=answer)

    async def paid(self, reference: str, at: datetime | None = None, **fields: Any) -> Payment:
        payment = await self.opened(reference)
        await self.answered(payment, Status.COMPLETED, at, **fields)
        return payment

    async def payment(self, payment_id: str) -> Payment:
        found = await read_payment(self.database, self.account.merchant, payment_id)
        assert found is not None
        return found

    async def run(self, lines: Iterable[Line | Unread], *, sha256: str = "a" * 64, **options: Any) -> Run:
        about = StatementScope(
            source="may.csv", sha256=sha256, since=options.pop("since", None), until=options.pop("until", None)
        )
        options = {"terms": Terms(grace=0)} | options
        return await reconcile_lines(self.database, self.rules, self.bus, self.account, lines, about, None, **options)

    async def rows(self, run: Run, outcome: LineOutcome | None = None) -> list[Row]:
        return [row async for row in read_rows(self.database, run.id, outcome)]

    async def found(self, lines: Iterable[Line | Unread], **options: Any) -> list[tuple[int | None, str, str]]:
        """The result of a run for each line, as (row, outcome, what is next)."""
        run = await self.run(lines, **options)
        return [(row.row, row.outcome.value, row.next.value) for row in await self.rows(run)]

    async def queued(self) -> list[Claim]:
        """The claims that wait, taken off the queue as workers do it."""
        messages = await self.bus.lease(self.account.provider.name, 1_000)
        await self.bus.ack(messages)
        return [message.claim for message in messages]

    async def asked(self, answers: dict[str, dict[str, Any]]) -> int:
        """Work the queue off: each payment that is asked about gets the given answer, by reference."""
        taken = await take_claims(self.ledger, self.rules, await self.queued(), FakeTurns())
        for assigned in taken.questions:
            told = dict(answers[assigned.expected.reference])
            payment = await self.payment(assigned.expected.payment_id)
            at = max(self.database.clock.now(), assigned.asked_at)
            await record_replies(
                self.ledger, self.rules, [(assigned, self.reply(payment, told.pop("status"), at, **told))], at
            )
        return len(taken.questions)

    async def kept(self) -> dict[str, str]:
        """The content of the tables of payments, as one digest for each."""
        digests = {}
        for table in UNTOUCHED:
            rows = await self.database.fetch(
                f"SELECT coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') AS digest FROM {table} t"
            )
            digests[table] = rows[0]["digest"]
        return digests
