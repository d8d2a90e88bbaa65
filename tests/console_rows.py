"""Payments, endpoints and gateways as the console's pages show them, made in a database of the tests."""

from __future__ import annotations

from schemas.words import Status
from tests.integration.shops import serving
from worker.postgres.database import Database


async def some_days(database: Database, *, held: int = 1) -> None:
    """Paid payments on the last days and today, `held` held ones of the merchant shop, and an open one of other."""
    async with serving(database) as shops:
        for number in range(6):
            amount = f"{1000 + 250 * number}.50"
            payment = await shops.opened(reference=f"order-{number}", order=f"order-{number}", amount=amount)
            await shops.answered(payment, Status.COMPLETED)
        for number in range(held):
            await shops.opened(reference=f"held-{number}", amount="1500.50")
        await shops.opened(shop="other", account="other-one", reference="others-secret", amount="777.00")
    await database.execute(
        """UPDATE payments SET opened_at = opened_at - right(reference, 1)::int * interval '1 day'
           WHERE reference LIKE 'order-%'"""
    )
    await database.execute(
        "UPDATE payments SET holds = ARRAY['amount_mismatch'], opened_at = opened_at - interval '3 days'"
        " WHERE reference LIKE 'held-%'"
    )


async def silence(database: Database, account: str) -> None:
    """Let the gateway of this account give no answer: its breaker is open, and it is probed in a minute."""
    await database.execute(
        """INSERT INTO allowances (account, calls, at, troubles, shut_until)
           VALUES ($1, 0, clock_timestamp(), 12, clock_timestamp() + interval '1 minute')
           ON CONFLICT (account) DO UPDATE SET troubles = 12, shut_until = excluded.shut_until""",
        account,
    )
