"""Following up a run's lines: gateways are asked, lines are recorded where none can be asked, unknown money is held.

A statement may bring thousands of claims. They are published at low priority, so workers take them when no callback
waits, and each question counts in the account's call budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from consumers.account import Account
from consumers.ports.bus import Bus
from consumers.reconciliation.statement_facts import StatementEntry, StatementSource, record_lines
from consumers.reconciliation.unexpected import UnmatchedLine, record_unexpected
from consumers.reconciliation.verdicts import statement_claim
from consumers.rules import Rules
from schemas.report import Run
from worker.postgres.database import Database
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.postgres.statements.unfollowed import Following, mark_followed, name_payments, refunds_of_found, to_follow
from worker.runtime.ids import new_payment_id

BATCH = 500


async def follow_up_lines(
    database: Database,
    ledger: PostgresLedger,
    rules: Rules,
    bus: Bus,
    account: Account,
    run: Run,
    *,
    listed: bool,
) -> None:
    """Follow up every line that has not been followed up before. May be stopped anywhere and run again.

    `listed`: the lines come from the gateway's own list.
    """
    newest = run.newest_at or run.until or run.started_at
    about = StatementSource(account=account.id, name=run.source, newest=newest, listed=listed)
    after = 0
    while rows := await to_follow(database, run.id, account.id, after, BATCH):
        now = database.clock.now()
        await _record(ledger, rules, about, [row for row in rows if row.next == "recorded"])
        unmatched = [UnmatchedLine(line=row.line) for row in rows if row.next == "held"]
        if unmatched:
            found = await record_unexpected(ledger, rules, account, about, unmatched, new_payment_id)
            await name_payments(database, run.id, {one.row: one.payment_id for one in found})
        await _ask(bus, account, run, [row for row in rows if row.next == "asked"], now)
        await mark_followed(database, run.id, account.id, rows, now)
        after = rows[-1].line.row
    refunds = await refunds_of_found(database, run.id, account.id)
    for start in range(0, len(refunds), BATCH):
        await _record(ledger, rules, about, refunds[start : start + BATCH])


async def _record(ledger: PostgresLedger, rules: Rules, about: StatementSource, rows: Sequence[Following]) -> None:
    said = [
        StatementEntry(payment_id=row.payment_id, line=row.line, refunded=row.refunded)
        for row in rows
        if row.payment_id is not None
    ]
    if said:
        await record_lines(ledger, rules, about, said)


async def _ask(bus: Bus, account: Account, run: Run, rows: Sequence[Following], now: datetime) -> None:
    """Publish claims for these rows.

    A claim's id is made of its line's digest. So a claim that is published again after a crash is taken only once.
    """
    claims = [
        statement_claim(
            row.line,
            run.source,
            id=f"{row.mark}{suffix}",
            account=account.id,
            provider=account.provider.name,
            payment_id=payment_id,
            received_at=now,
        )
        for row in rows
        for payment_id, suffix in ((row.payment_id, ""), (row.other_payment_id, "-other"))
        if payment_id is not None
    ]
    if claims:
        await bus.publish(claims, low_priority=True)
