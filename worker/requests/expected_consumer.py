"""The queue `payproof.expected`: a shop publishes there a payment that it opened itself, to have it registered.

Only few messages are in hand at a time. The dead letter of a message that is too large holds its size and digest, so
that a shop's mistake does not fill the broker's disk (`worker/amqp/message_size.py`).
"""

from __future__ import annotations

import asyncio
import time

import structlog
from aiormq.abc import DeliveredMessage

from consumers.ports.unavailable import BusUnavailable, DatabaseUnavailable, Unavailable, error_name
from schemas.secret import Secret
from schemas.wire import MAX_BODY
from worker.amqp.consumer_pool import ConsumerPool
from worker.amqp.message_size import describe
from worker.amqp.messages import CODE, FIELD, REASON, expected_dead_letter_message, strangers_id
from worker.amqp.publisher import Publisher
from worker.amqp.rabbit_bus import REST_SECONDS
from worker.amqp.topology import EXPECTED
from worker.requests.expected_handler import ExpectedPaymentHandler, Handled, Refusal
from worker.runtime.clock import DatabaseClock, set_within
from worker.runtime.retries import ATTEMPTS, PAUSE_SECONDS, place_of
from worker.telemetry.metrics import Metrics

NAME = "expected"
PREFETCH = 5
"""How many messages are registered at once. Each uses a connection to the database."""
LONGEST_WORDS = 1000
WAIT_SECONDS = 60.0

log = structlog.get_logger()


def expected_pool(url: Secret, metrics: Metrics) -> ConsumerPool:
    return ConsumerPool(url, (), metrics, others={NAME: EXPECTED}, prefetch=PREFETCH)


class ExpectedConsumer:
    """Works from `run` until `stop`. Then it takes no new message, and `run` returns when no message is in hand."""

    def __init__(
        self,
        pool: ConsumerPool,
        publisher: Publisher,
        handler: ExpectedPaymentHandler,
        clock: DatabaseClock,
        metrics: Metrics,
    ) -> None:
        self._pool, self._publisher, self._handler = pool, publisher, handler
        self._clock, self._metrics = clock, metrics
        self._arrived, self._stopping = asyncio.Event(), asyncio.Event()
        self._away_since: float | None = None
        pool.on_arrival(lambda _: self._arrived.set())

    def stop(self) -> None:
        self._stopping.set()
        self._arrived.set()

    async def run(self) -> None:
        while not self._stopping.is_set():
            self._arrived.clear()
            messages = self._pool.take(NAME, PREFETCH)
            if not messages:
                await set_within(self._arrived, WAIT_SECONDS)
                continue
            acknowledged = await asyncio.gather(*(self._process(message) for message in messages))
            left = [message for message, done in zip(messages, acknowledged, strict=True) if not done]
            if left:
                self._pool.put_back(left)
                await set_within(self._stopping, PAUSE_SECONDS)
            if self._away_since is not None and self._away_since + REST_SECONDS <= time.monotonic():
                await self._pause()

    async def _pause(self) -> None:
        """Give all messages back to the broker, and wait until the database is there again."""
        await self._pool.pause(NAME)
        while not self._stopping.is_set() and self._away_since is not None:
            try:
                await self._handler.reach()
                self._away_since = None
            except DatabaseUnavailable:
                await set_within(self._stopping, PAUSE_SECONDS)
        self._pool.resume(NAME)

    async def _process(self, message: DeliveredMessage) -> bool:
        """Register a message, or dead-letter it with the reason. Returns whether it was acknowledged."""
        try:
            result = await self._register(message)
            if result == "later":
                return False
            if isinstance(result, Refusal):
                await self._dead_letter(message, result)
            else:
                await self._pool.acknowledge([message])
        except Unavailable as error:
            log.warning("expected.unavailable", error=error_name(error))
            if not isinstance(error, BusUnavailable):
                self._away_since = self._away_since or time.monotonic()
            return False
        self._away_since = None
        self._metrics.expected.labels("refused" if isinstance(result, Refusal) else result).inc()
        return True

    async def _register(self, message: DeliveredMessage) -> Handled | Refusal:
        """Handle a message. If that fails by itself, as by a bug of ours, try again, ATTEMPTS times in all."""
        attempts = 0
        while True:
            try:
                return await self._handler.handle(message.routing_key or "", message.body)
            except DatabaseUnavailable:
                raise
            except Exception as error:
                attempts += 1
                log.exception("expected.failed", message_id=_id(message), attempts=attempts)
                if attempts == ATTEMPTS:
                    reason = f"{type(error).__name__} at {place_of(error)}, {attempts} times"
                    return Refusal(code="internal", reason=reason)
                await set_within(self._stopping, PAUSE_SECONDS)

    async def _dead_letter(self, message: DeliveredMessage, refusal: Refusal) -> None:
        """Dead-letter a message with the refusal in its headers. Raises BusUnavailable."""
        log.warning("expected.refused", message_id=_id(message), code=refusal.code)
        told = {REASON: refusal.reason, CODE: refusal.code, FIELD: refusal.field}
        headers = {name: _printable(text) for name, text in told.items() if text}
        letter = expected_dead_letter_message(
            _id(message),
            message.routing_key or "",
            message.body if len(message.body) <= MAX_BODY else describe(message.body),
            headers,
            self._clock.now(),
        )
        await self._publisher.publish([letter])
        await self._pool.acknowledge([message])


def _printable(text: str) -> str:
    """The text, shortened to fit a header, and safe to print: it may have a stranger's words."""
    short = text if len(text) <= LONGEST_WORDS else f"{text[: LONGEST_WORDS - 1]}…"
    return "".join(letter if letter.isprintable() else "?" for letter in short)


def _id(message: DeliveredMessage) -> str:
    return strangers_id(message.header.properties.message_id)
