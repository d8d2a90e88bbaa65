"""Recording a gateway's reply from the dead letters.

It counts as of the times when it was asked and answered, however late it is recorded.
"""

from __future__ import annotations

from consumers.checks.repeated_failure import reply_of
from consumers.ports.unavailable import DatabaseUnavailable
from consumers.record_replies import record_dead_replies
from consumers.rules import Rules
from schemas.letters import KeptReply
from worker.dead_letters import NotReplayed
from worker.postgres.database import Database, despite_others
from worker.postgres.ledger.failures import PostgresFailures
from worker.postgres.ledger.postgres_ledger import PostgresLedger
from worker.verify.blame import reason_of


async def replay_dead_reply(database: Database, rules: Rules, kept: KeptReply) -> None:
    """Record a kept reply, and forget its payment's failures, so that its schedule goes on.

    Raises NotReplayed, and DatabaseUnavailable.
    """
    if kept.account not in rules.accounts:
        raise NotReplayed(f"the account {kept.account} is not in the configuration")
    ledger = PostgresLedger(database)
    try:
        reply = reply_of(kept)
        await despite_others(lambda: record_dead_replies(ledger, rules, [reply]))
    except DatabaseUnavailable:
        raise
    except Exception as error:
        raise NotReplayed(f"it fails still ({reason_of(error)})") from error
    await PostgresFailures(database).forget(kept.payment_id)
