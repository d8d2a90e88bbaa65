"""The row of a payment that waits for its checkout: inserted, taken up again by its reference, or deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from consumers.commands.reopen import ReadyToOpen, ReferenceTaken, reopen_or_reject
from schemas.changes import Change
from schemas.payments import Payment
from worker.postgres.database import Connection
from worker.postgres.idempotency_keys import came_to
from worker.postgres.ledger.rows import INSERT, PAYMENT, payment_of
from worker.postgres.ledger.store import store
from worker.postgres.past_payments import past_reference
from worker.runtime.contacts import ContactKeys

_LOST = """
    SELECT clock_timestamp() AS now, (
        SELECT l.payment_id FROM lost_events l WHERE l.account = $1 AND l.reference = $2
            AND (SELECT true FROM payments p WHERE p.id = l.payment_id) IS NULL LIMIT 1) AS lost_id
"""
_KEEP_CONTACTS = "INSERT INTO contacts (payment_id, hash) SELECT $1, unnest($2::bytea[])"
_LOCK_BY_REFERENCE = f"SELECT {PAYMENT} FROM payments p WHERE account = $1 AND reference = $2 FOR UPDATE"  # noqa: S608 - our own names


async def create_or_reopen(
    connection: Connection[asyncpg.Record],
    payment: Payment,
    request: dict[str, Any],
    lease: timedelta,
    contacts: ContactKeys,
) -> ReadyToOpen | ReferenceTaken | None:
    """Insert the payment's row, or go on with the row that has its reference, if that has no checkout yet.

    A payment that a failover lost gets its id again, which the shop and the buyer's browser know. None: the row that
    had the reference has just been discarded.
    """
    (found,) = await connection.fetch(_LOST, payment.account, payment.reference)
    now: datetime = found["now"]
    made = msgspec.structs.replace(payment, id=found["lost_id"] or payment.id, opening_until=now + lease)
    if await connection.fetchval(INSERT, made) is not None:
        if past := await past_reference(connection, payment.account, payment.reference):
            await connection.execute("DELETE FROM payments WHERE id = $1", made.id)
            return ReferenceTaken(payment=msgspec.structs.replace(made, id=past), why="opened", equal=False)
        await connection.execute("INSERT INTO openings VALUES ($1, $2)", made.id, request)
        await _keep_contacts(connection, made, request, contacts)
        if made.id != payment.id:
            await came_to(connection, payment.id, made.id)
        return ReadyToOpen(made)
    row = await connection.fetchrow(_LOCK_BY_REFERENCE, payment.account, payment.reference)
    if row is None:
        return None
    present = payment_of(row)
    # An earlier release wrote an id into the request.
    asked_for = "SELECT request - 'proposed_id' FROM openings WHERE payment_id = $1"
    before = await connection.fetchval(asked_for, present.id)
    equal = before == msgspec.json.decode(msgspec.json.encode(request))
    result = reopen_or_reject(present, made, equal=equal, until=now + lease, now=now)
    if isinstance(result, ReadyToOpen):
        await store(connection, [(present, Change(payment=result.payment))])
        await came_to(connection, payment.id, present.id)
    return result


async def discard(connection: Connection[asyncpg.Record], payment_id: str) -> None:
    """Delete the payment's row, so that its reference is free. A row with an event or a Fact stays."""
    learned = await connection.fetchval(
        """SELECT p.version > 0 OR exists(SELECT FROM facts WHERE payment_id = p.id)
           FROM payments p WHERE id = $1 FOR UPDATE""",
        payment_id,
    )
    if learned:
        await connection.execute("UPDATE payments SET opening_until = NULL WHERE id = $1", payment_id)
        return
    await connection.execute("UPDATE claims SET payment_id = NULL WHERE payment_id = $1", payment_id)
    for table in ("openings", "entries", "sessions"):
        await connection.execute(f"DELETE FROM {table} WHERE payment_id = $1", payment_id)  # noqa: S608
    await connection.execute("DELETE FROM payments WHERE id = $1", payment_id)


async def _keep_contacts(
    connection: Connection[asyncpg.Record], made: Payment, request: dict[str, Any], contacts: ContactKeys
) -> None:
    """Keep the hashes of the buyer's phone number and e-mail address, where there are keys for them."""
    if contacts:
        body = msgspec.json.decode(request.get("body", "{}"))
        if hashes := contacts.of_customer(made.merchant, body.get("customer", {})):
            await connection.execute(_KEEP_CONTACTS, made.id, hashes)
