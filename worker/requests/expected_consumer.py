"""The queue `payproof.expected`: a shop registers a payment that it opened itself by publishing it there.

The one thing to get wrong: the size. A broker takes messages of many megabytes and hands over as many as are asked for;
so few are, and one that is far too large is dead-lettered inside the broker, without passing through us again.
"""

from __future__ import annotations

import asyncio
import time

import structlog
from aiormq.abc import DeliveredMessage

from consumers.ports.bus import BusAway
from schemas.secret import Secret
from worker.amqp.bus import REST_SECONDS
from worker.amqp.inbox import Inbox
from worker.amqp.messages import CODE, FIELD, REASON, expected_letter, strangers_id
from worker.amqp.publisher import Publisher
from worker.amqp.topology import EXPECTED
from worker.postgres.database import UNAVAILABLE
from worker.requests.expected import Refusal, Registrar, Result
from worker.runtime.clock import DatabaseClock, set_within
from worker.telemetry.metrics import Metrics
from worker.verify.blame import place_of
from worker.verify.in_hand import ATTEMPTS
from worker.verify.record import PAUSE_SECONDS

NAME = "expected"
PREFETCH = 5
"""So many are registered at once: each takes a connection to the database, and holds a body of any size."""
LARGEST_LETTER = 1024 * 1024
LONGEST_WORDS = 1000
WAIT_SECONDS = 60.0

log = structlog.get_logger()


def expected_inbox(url: Secret, metrics: Metrics) -> Inbox:
    return Inbox(url, (), metrics, others={NAME: EXPECTED}, prefetch=PREFETCH)


class ExpectedPayments:
    """Works until `stop`; then takes nothing new, and `run` returns when what is in hand is settled or given back."""

    def __init__(
        self, inbox: Inbox, publisher: Publisher, registrar: Registrar, clock: DatabaseClock, metrics: Metrics
    ) -> None:
        self._inbox, self._publisher, self._registrar = inbox, publisher, registrar
        self._clock, self._metrics = clock, metrics
        self._arrived, self._stopping = asyncio.Event(), asyncio.Event()
        self._away_since: float | None = None
        inbox.on_arrival(lambda _: self._arrived.set())

    def stop(self) -> None:
        self._stopping.set()
        self._arrived.set()

    async def run(self) -> None:
        while not self._stopping.is_set():
            self._arrived.clear()
            messages = self._inbox.take(NAME, PREFETCH)
            if not messages:
                await set_within(self._arrived, WAIT_SECONDS)
                continue
            settled = await asyncio.gather(*(self._settle(message) for message in messages))
            left = [message for message, done in zip(messages, settled, strict=True) if not done]
            if left:
                self._inbox.give_back(left)
                await set_within(self._stopping, PAUSE_SECONDS)
            if self._away_since is not None and self._away_since + REST_SECONDS <= time.monotonic():
                await self._rest()

    async def _rest(self) -> None:
        """Give all back to the broker until the database is there again."""
        await self._inbox.rest(NAME)
        while not self._stopping.is_set() and self._away_since is not None:
            try:
                await self._registrar.reach()
                self._away_since = None
            except UNAVAILABLE:
                await set_within(self._stopping, PAUSE_SECONDS)
        self._inbox.resume(NAME)

    async def _settle(self, message: DeliveredMessage) -> bool:
        """Register it, or dead-letter it with the reason. Returns whether it was acknowledged."""
        try:
            result = await self._register(message)
            if result == "later":
                return False
            if isinstance(result, Refusal):
                await self._dead_letter(message, result)
            else:
                await self._inbox.acknowledge([message])
        except (BusAway, *UNAVAILABLE) as error:
            log.warning("expected.unavailable", error=type(error).__name__)
            if not isinstance(error, BusAway):
                self._away_since = self._away_since or time.monotonic()
            return False
        self._away_since = None
        self._metrics.expected.labels("refused" if isinstance(result, Refusal) else result).inc()
        return True

    async def _register(self, message: DeliveredMessage) -> Result | Refusal:
        """Try it, and where that fails by itself, as it would by a bug of ours, a few times more."""
        attempts = 0
        while True:
            try:
                return await self._registrar.register(message.routing_key or "", message.body)
            except UNAVAILABLE:
                raise
            except Exception as error:
                attempts += 1
                log.exception("expected.failed", message_id=_id(message), attempts=attempts)
                if attempts == ATTEMPTS:
                    reason = f"{type(error).__name__} at {place_of(error)}, {attempts} times"
                    return Refusal(code="internal", reason=reason)
                await set_within(self._stopping, PAUSE_SECONDS)

    async def _dead_letter(self, message: DeliveredMessage, refusal: Refusal) -> None:
        """Dead-letter it with what is wrong in its headers. Raises BusAway."""
        log.warning("expected.refused", message_id=_id(message), code=refusal.code)
        if len(message.body) > LARGEST_LETTER:
            await self._inbox.reject([message])
            return
        told = {REASON: refusal.reason, CODE: refusal.code, FIELD: refusal.field}
        headers = {name: _printable(text) for name, text in told.items() if text}
        letter = expected_letter(
            _id(message),
            message.routing_key or "",
            message.body,
            headers,
            self._clock.now(),
        )
        await self._publisher.publish([letter])
        await self._inbox.acknowledge([message])


def _printable(text: str) -> str:
    """What names a stranger's fields is read on a terminal, and has to fit a header."""
    short = text if len(text) <= LONGEST_WORDS else f"{text[: LONGEST_WORDS - 1]}…"
    return "".join(sign if sign.isprintable() else "?" for sign in short)


def _id(message: DeliveredMessage) -> str:
    return strangers_id(message.header.properties.message_id)
