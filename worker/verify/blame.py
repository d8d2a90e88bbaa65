"""Counting the payments whose processing fails by itself, and asking no more about a payment that is hopeless.

A failure is counted only if the payment itself caused it. A failure of the database, or because of a lock of others, is
excused.
"""

from __future__ import annotations

from contextlib import suppress

import asyncpg
import structlog

from consumers.account import Account
from consumers.checks.repeated_failure import Failing, Failures, letter_of, stop_asking, why
from consumers.pipeline import AssignedQuestion
from consumers.ports.ledger import Ledger
from consumers.ports.reply import Reply
from consumers.ports.unavailable import DatabaseUnavailable
from consumers.rules import Rules
from schemas.callbacks import Claim
from worker.runtime.retries import place_of

log = structlog.get_logger()


class Blame:
    """Counts failures for one process.

    A reply or claim is marked (counted before it is tried) when it is tried alone, and the mark is taken back when it
    succeeds. A process that dies in between has probably died of it, and leaves the count. A marked reply or claim is
    not counted again when it fails. `_marked` has the payment ids of marked replies and the ids of marked claims.
    """

    def __init__(self, ledger: Ledger, rules: Rules, failures: Failures) -> None:
        self._ledger, self._rules, self._failures = ledger, rules, failures
        self._marked: set[str] = set()
        self._failed: set[str] = set()

    async def mark(self, reply: Reply, account: Account) -> bool:
        """Count a reply before it is recorded alone. Returns whether it may be recorded.

        A reply that was counted often is also kept as a dead letter. If it is hopeless, asking is stopped.

        Raises DatabaseUnavailable; then it may be marked again, and is counted once.
        """
        failing = await self._count(reply.payment_id, reply.payment_id, account.id)
        if failing is not None:
            await self._judge_reply(failing, reply, account)
        return self._may_be_tried(reply.payment_id, failing)

    async def mark_claim(self, claim: Claim) -> bool:
        """Count a claim that was handed out again and again, before it is taken. Returns whether it may be taken."""
        payment_id = await self._home(claim)
        failing = None if payment_id is None else await self._count(claim.id, payment_id, claim.account)
        await self._stop_if_hopeless(failing)
        return self._may_be_tried(claim.id, failing)

    async def reply_failed(self, reply: Reply, account: Account, error: Exception) -> None:
        """Count a reply that could not be recorded, unless it was marked.

        After several failures the reply is kept as a dead letter. When the payment is hopeless, asking is stopped.
        """
        failing = await self._count_failed(reply.payment_id, reply.payment_id, account.id, error)
        if failing is not None:
            await self._judge_reply(failing, reply, account)

    async def keep(self, reply: Reply, account: Account, reason: str) -> None:
        """Keep the reply as a dead letter, with this reason."""
        await self._failures.keep(*letter_of(reply, account), reason)

    async def question_failed(self, assigned: AssignedQuestion, error: Exception) -> None:
        """Count a question that raised an error instead of bringing a reply."""
        payment_id = assigned.expected.payment_id
        await self._stop_if_hopeless(await self._count_failed(payment_id, payment_id, assigned.account.id, error))

    async def claim_failed(self, claim: Claim, error: Exception) -> None:
        """Count a claim that could not be taken, unless it was marked. A claim without a payment is not counted."""
        payment_id = await self._home(claim)
        if payment_id is not None:
            await self._stop_if_hopeless(await self._count_failed(claim.id, payment_id, claim.account, error))

    async def excuse_claim(self, claim: Claim) -> None:
        """Take back the mark of a claim, if it has one: it was taken, or failed because of others."""
        if claim.id in self._marked:
            with suppress(DatabaseUnavailable):
                payment_id = await self._home(claim)
                if payment_id is not None:
                    await self.excuse(claim.id, payment_id, claim.account)

    async def excuse(self, marked: str, payment_id: str, account: str) -> None:
        """Take back a mark. `marked` is the payment id of the reply, or the id of the claim."""
        if marked in self._marked:
            self._marked.discard(marked)
            with suppress(DatabaseUnavailable):
                await self._failures.count(payment_id, account, None, -1)

    async def recorded(self, reply: Reply, account: Account) -> None:
        """Forget the failures of a payment whose reply is recorded, and its kept reply, if this process counted any."""
        if reply.payment_id in self._marked or reply.payment_id in self._failed:
            self._marked.discard(reply.payment_id)
            self._failed.discard(reply.payment_id)  # before the wait, in which a claim about it may fail
            try:
                await self._failures.forget(reply.payment_id, letter_of(reply, account)[0])
            except DatabaseUnavailable:  # forgotten an hour later all the same
                self._failed.add(reply.payment_id)

    async def _count(self, marked: str, payment_id: str, account: str) -> Failing | None:
        failing = await self._failures.count(payment_id, account, None, 0 if marked in self._marked else 1)
        if failing is not None:
            self._marked.add(marked)
        return failing

    async def _count_failed(self, marked: str, payment_id: str, account: str, error: Exception) -> Failing | None:
        failing = await self._failures.count(payment_id, account, reason_of(error), 0 if marked in self._marked else 1)
        self._marked.discard(marked)
        self._failed.add(payment_id)
        return failing

    def _may_be_tried(self, marked: str, failing: Failing | None) -> bool:
        if failing is None or not failing.hopeless:
            return True
        self._marked.discard(marked)
        return False

    async def _judge_reply(self, failing: Failing, reply: Reply, account: Account) -> None:
        if failing.often:
            await self.keep(reply, account, why(failing))
        await self._stop_if_hopeless(failing)

    async def _stop_if_hopeless(self, failing: Failing | None) -> None:
        if failing is not None and failing.hopeless:
            await self._stop(failing)

    async def _stop(self, failing: Failing) -> None:
        try:
            await stop_asking(self._ledger, self._rules, failing)
        except DatabaseUnavailable:
            raise
        except Exception:  # the hold cannot be written; asking is stopped all the same
            log.exception("payment.hold_failed", payment_id=failing.payment_id)
        await self._failures.stop(failing.payment_id, self._rules.checks)
        if failing.stopped_at is None:
            log.error("payment.stopped", payment_id=failing.payment_id, why=why(failing))

    async def _home(self, claim: Claim) -> str | None:
        """The id of the payment that the claim is about; None if there is none, or finding it fails."""
        if claim.payment_id is not None:
            return claim.payment_id
        try:
            return (await self._ledger.find([claim])).get(claim.id)
        except DatabaseUnavailable:
            raise
        except Exception:  # noqa: BLE001 - taking the claim failed of the same error, which was logged
            return None


def reason_of(error: Exception) -> str:
    """The error's type and place in our code; for an error of Postgres also the constraint that was violated."""
    rule = error.constraint_name if isinstance(error, asyncpg.PostgresError) else None
    return f"{type(error).__name__}{f' of {rule}' if rule else ''} at {place_of(error)}"
