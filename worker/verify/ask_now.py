"""A person has the gateway asked now, in the console or by `payproof payments verify`, and waits for its answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from consumers.ports.bus import ClaimPublisher
from schemas.audit import AuditRecord
from schemas.payments import Payment
from schemas.words import Source
from worker.postgres.audit_rows import note_act
from worker.postgres.database import Database
from worker.postgres.reads.reading import read_payment
from worker.verify.own_claims import own_claim

LOOK_SECONDS = 0.1


async def ask_now(
    database: Database, claims: ClaimPublisher, payment: Payment, seconds: float, record: AuditRecord
) -> tuple[Payment, bool]:
    """The payment, and whether an answer came within `seconds`. Without one the question stays queued.

    `record` says that a person asked for it, and is written before.
    """
    await note_act(database, record)
    asked_at = database.clock.now()
    await claims.publish([own_claim(Source.OPERATOR, payment.id, payment.account, payment.provider, asked_at)])
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not _answered(payment, asked_at):
                await asyncio.sleep(LOOK_SECONDS)
                payment = await read_payment(database, payment.merchant, payment.id) or payment
    return payment, _answered(payment, asked_at)


def _answered(payment: Payment, asked_at: datetime) -> bool:
    return payment.checked_at is not None and payment.checked_at > asked_at
