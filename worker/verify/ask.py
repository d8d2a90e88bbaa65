"""Asking one question: the gateway is called, and its reply goes on to the recorder.

If a question cannot be asked, its claims are given back, and come again.

No failure is counted before the reply is there: a worker that dies while it waits for a gateway did not die of the
payment. Only a question that raises an error is counted as the payment's failure.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from urllib.parse import urlsplit

import structlog

from consumers.pipeline import AssignedQuestion
from consumers.ports.reply import Reply
from consumers.ports.unavailable import DatabaseUnavailable, error_name
from schemas.answers import Executed, ForeignTransaction, Inconclusive, QuestionOutcome
from worker.runtime.clock import DatabaseClock
from worker.runtime.retries import PAUSE_SECONDS
from worker.telemetry.label_values import NOT_SENT
from worker.telemetry.metrics import Metrics
from worker.telemetry.tracing import Span, Tracing
from worker.verify.blame import Blame
from worker.verify.gateways import Gateways
from worker.verify.in_hand import InHand
from worker.verify.question_course import Calls, TooLate
from worker.verify.record import Recorder

log = structlog.get_logger()


class Asker:
    """Asks questions. `ask` raises neither DatabaseUnavailable nor anything that a gateway does."""

    def __init__(
        self,
        gateways: Gateways,
        recorder: Recorder,
        in_hand: InHand,
        blame: Blame,
        clock: DatabaseClock,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._gateways, self._recorder = gateways, recorder
        self._in_hand, self._blame = in_hand, blame
        self._clock, self._metrics, self._tracing = clock, metrics, tracing

    async def ask(self, assigned: AssignedQuestion) -> None:
        """Ask the question. Its reply goes to the recorder; if it could not be asked, its claims are given back."""
        account = assigned.account
        about = {
            "payment_id": assigned.expected.payment_id,
            "account": account.id,
            "kind": assigned.question.kind.value,
        }
        about["host"] = urlsplit(account.provider.base_url).hostname or ""
        with self._tracing.follow("ask", assigned.traceparent, **about) as span:
            try:
                await self._ask(span, assigned)
            except DatabaseUnavailable as error:  # the gateway's token is kept in the database
                log.warning("question.postponed", payment_id=assigned.expected.payment_id, error=error_name(error))
                await asyncio.sleep(PAUSE_SECONDS)
                await self._in_hand.not_asked(assigned)

    async def _ask(self, span: Span, assigned: AssignedQuestion) -> None:
        """Raises DatabaseUnavailable."""
        payment_id, account, question = assigned.expected.payment_id, assigned.account, assigned.question
        labels = (account.provider.name, question.kind.value)
        started, calls = time.perf_counter(), Calls()
        try:
            outcome = await self._gateways.ask(account, question, assigned.expected, calls, asked_at=assigned.runs_from)
        except DatabaseUnavailable:
            raise
        except TooLate:  # this worker was slow, and the question's time is over
            log.warning("question.too_late", payment_id=payment_id)
            self._metrics.questions.labels(*labels, NOT_SENT).inc()
            await self._in_hand.not_asked(assigned)
            return
        except Exception as error:  # a bug of ours in a gateway's file
            log.exception("question.failed", payment_id=payment_id)
            await self._recorder.unanswered(assigned, error, partial(self._blame.question_failed, assigned, error))
            return
        self._metrics.question_seconds.labels(*labels).observe(time.perf_counter() - started)
        self._metrics.questions.labels(*labels, _word(outcome)).inc()
        reply = Reply(
            payment_id=payment_id,
            question=question,
            asked_at=assigned.asked_at,
            answered_at=max(self._clock.now(), assigned.asked_at),
            outcome=outcome,
            calls=calls.made,
            traceparent=span.traceparent,
        )
        span.note(outcome=_word(outcome), calls=calls.made)
        self._recorder.add(assigned, reply)


def _word(outcome: QuestionOutcome) -> str:
    match outcome:
        case Inconclusive():
            return outcome.trouble.value
        case ForeignTransaction():
            return "stranger"
        case Executed(reply="not_sent"):
            return NOT_SENT
        case Executed():
            return _word(outcome.then)
        case _:
            return outcome.status.value if outcome.status is not None else "unmapped"
