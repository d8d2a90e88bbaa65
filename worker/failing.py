"""Counting the payments that fail by themselves, and ending the loop of asking when one is hopeless.

The one thing to get wrong: blaming a payment for the database. A failure is counted only where all else was in order;
one that others brought about is excused.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from zlib import crc32

import structlog

from consumers.account import Account
from consumers.answering import Reply
from consumers.failing import Failing, Failures, letter_of, stop_asking, why
from consumers.ledger import Ledger
from consumers.pipeline import Inquiry
from consumers.rules import Rules
from schemas.callbacks import Claim
from worker.postgres.database import UNAVAILABLE

log = structlog.get_logger()


class Blame:
    """Counts for one process.

    A payment whose process may die of it is marked, and so counted, before it is tried; then failing counts no more.
    """

    def __init__(self, ledger: Ledger, rules: Rules, failures: Failures) -> None:
        self._ledger, self._rules, self._failures = ledger, rules, failures
        self._marked: dict[str, Failing] = {}
        self._failed: set[str] = set()

    def turn(self, payment_id: str) -> int | None:
        """Where a marked payment stands among those that are tried alone; None for the others, which go together.

        The order is another one each time, or those behind one that workers die of would never have a turn.
        """
        marked = self._marked.get(payment_id)
        return None if marked is None else crc32(f"{payment_id}/{marked.failures}".encode())

    async def mark(self, inquiry: Inquiry) -> bool:
        """Before a question is asked whose last one was lost: count it. Whether it may be asked. Raises UNAVAILABLE."""
        return await self._mark(inquiry.expected.payment_id, inquiry.account.id)

    async def mark_claim(self, claim: Claim) -> bool:
        """Before a claim is taken that was handed out again and again: count it. Whether it may be taken."""
        payment_id = await self._home(claim)
        return payment_id is None or await self._mark(payment_id, claim.account)

    async def before_alone(self, reply: Reply, account: Account) -> None:
        """Keep a reply before it is recorded alone, if this process may well die of it. Raises UNAVAILABLE."""
        marked = self._marked.get(reply.payment_id)
        if marked is not None and marked.often:
            await self._failures.keep(*letter_of(reply, account), why(marked))

    async def reply_failed(self, reply: Reply, account: Account, error: Exception) -> None:
        """Count it. From some count on the reply is kept, and once it is hopeless the payment is left alone."""
        failing = await self._count(reply.payment_id, account.id, error)
        if failing is not None and failing.often:
            await self._failures.keep(*letter_of(reply, account), why(failing))
        await self._stop_if_hopeless(failing)

    async def question_failed(self, inquiry: Inquiry, error: Exception) -> None:
        await self._stop_if_hopeless(await self._count(inquiry.expected.payment_id, inquiry.account.id, error))

    async def claim_failed(self, claim: Claim, error: Exception) -> None:
        payment_id = await self._home(claim)
        if payment_id is not None:
            await self._stop_if_hopeless(await self._count(payment_id, claim.account, error))

    async def excuse_claim(self, claim: Claim) -> None:
        """Take back what was marked: there was nothing to ask, or others were in its way."""
        with suppress(*UNAVAILABLE):
            payment_id = await self._home(claim)
            if payment_id is not None:
                await self.excuse(payment_id, claim.account)

    async def excuse(self, payment_id: str, account: str) -> None:
        """Take back what was marked: it was no fault of the payment's."""
        if payment_id in self._marked:
            del self._marked[payment_id]
            with suppress(*UNAVAILABLE):
                await self._failures.count(payment_id, account, None, -1)

    async def recorded(self, reply: Reply, account: Account) -> None:
        """It fails no more."""
        if reply.payment_id in self._marked or reply.payment_id in self._failed:
            with suppress(*UNAVAILABLE):  # forgotten an hour later all the same
                await self._failures.forget(reply.payment_id, letter_of(reply, account)[0])
                self._marked.pop(reply.payment_id, None)
                self._failed.discard(reply.payment_id)

    async def _mark(self, payment_id: str, account: str) -> bool:
        failing = await self._failures.count(payment_id, account, None, 0 if payment_id in self._marked else 1)
        if failing is None:
            return True
        self._marked[payment_id] = failing
        await self._stop_if_hopeless(failing)
        return not failing.hopeless

    async def _count(self, payment_id: str, account: str, error: Exception) -> Failing | None:
        reason = f"{type(error).__name__} at {place_of(error)}"
        failing = await self._failures.count(payment_id, account, reason, 0 if payment_id in self._marked else 1)
        self._marked.pop(payment_id, None)
        self._failed.add(payment_id)
        return failing

    async def _stop_if_hopeless(self, failing: Failing | None) -> None:
        if failing is not None and failing.hopeless:
            await self._stop(failing)

    async def _stop(self, failing: Failing) -> None:
        try:
            await stop_asking(self._ledger, self._rules, failing)
        except UNAVAILABLE:
            raise
        except Exception:  # not even that can be written of it; the sweep leaves it alone all the same
            log.exception("payment.not_put_before_a_person", payment_id=failing.payment_id)
        await self._failures.stop(failing.payment_id)
        if failing.stopped_at is None:
            log.error("payment.stopped", payment_id=failing.payment_id, why=why(failing))

    async def _home(self, claim: Claim) -> str | None:
        """The payment that the claim is about; None where even that fails, or there is none."""
        if claim.payment_id is not None:
            return claim.payment_id
        try:
            return (await self._ledger.find([claim])).get(claim.id)
        except UNAVAILABLE:
            raise
        except Exception:  # noqa: BLE001 - it is what its taking failed of, and that was logged
            return None


def place_of(error: Exception) -> str:
    """The innermost place that the error passed, as `consumers/receiving.py:41`."""
    passed = traceback.extract_tb(error.__traceback__)
    return "/".join(passed[-1].filename.split("/")[-2:]) + f":{passed[-1].lineno}" if passed else "nowhere"
