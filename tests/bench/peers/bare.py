"""The bare limit: the same questions, rows, events and acknowledgements as payproof's, and no logic at all.

Payproof is measured against this, so it must be as fast as Python gets on the same libraries: aiohttp, aiormq beneath
aio-pika, and asyncpg. A batch of each queue is asked about, committed by one statement, published with confirms in
flight together, and acknowledged by one frame, while the next batch is being asked about. A batch waits for its slowest
answer, which costs nothing where claims wait; `bare_each` is for claims that come one at a time.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

import aiohttp
import aiormq
import asyncpg
import msgspec
import uvloop
from aiormq import Channel
from aiormq.abc import AbstractChannel, AbstractConnection, ChannelFrame, DeliveredMessage, FrameType
from asyncpg.prepared_stmt import PreparedStatement
from msgspec import Struct
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from yarl import URL

from tests.bench.numbered import GATEWAYS

BATCH = 400
ASKERS = 32
PREFETCH = 3 * BATCH
EXCHANGE = "payproof.events"
SECONDS = 30.0

TABLE = """
    DROP TABLE IF EXISTS bare_claims;
    CREATE TABLE bare_claims (
        id text PRIMARY KEY, claim bytea NOT NULL, answer bytea NOT NULL, event bytea NOT NULL,
        at timestamptz NOT NULL DEFAULT now())
"""
INSERT = """
    INSERT INTO bare_claims (id, claim, answer, event)
    SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::bytea[])
"""

_EVENT = (
    b'{"specversion":"1.0","id":"%(id)b.2","type":"payment.completed","source":"/payproof/shop/%(account)b",'
    b'"subject":"%(id)b","time":"%(now)b","datacontenttype":"application/json",'
    b'"dataschema":"https://pay.shop.example/schemas/payment-1.json","data":{"claim_id":"%(id)b",'
    b'"account":"%(account)b","answer":%(answer)b,"padding":"' + b"x" * 450 + b'"}}'
)


class Named(Struct):
    """The parts of a claim that name the gateway and the payment to ask about."""

    id: str
    account: str
    provider: str
    payment_id: str | None = None
    session_id: str | None = None
    transaction_id: str | None = None


read = msgspec.json.Decoder(Named).decode


class Queue:
    """One gateway's claims, from its queue to the events."""

    def __init__(
        self, gateway: str, base: str, session: aiohttp.ClientSession, database: asyncpg.Connection[asyncpg.Record]
    ) -> None:
        self._gateway, self._base = gateway, base
        self._session, self._database = session, database
        self._waiting: deque[DeliveredMessage] = deque()
        self._arrived = asyncio.Event()
        self._target = Basic.Publish(exchange=EXCHANGE, routing_key=f"payment.completed.shop.shop-{gateway}")

    async def run(self, connection: AbstractConnection, publishing: Channel) -> None:
        channel = await connection.channel(publisher_confirms=False)
        await channel.basic_qos(prefetch_count=PREFETCH)
        await channel.basic_consume(f"payproof.claims.{self._gateway}", self._deliver)
        insert = await self._database.prepare(INSERT)
        settling: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as group:
            while True:
                if not self._waiting:
                    self._arrived.clear()
                    await self._arrived.wait()
                messages = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                claims = [read(message.body) for message in messages]
                answers = await self._ask(claims)
                if settling is not None:
                    await settling
                settling = group.create_task(self._settle(channel, publishing, insert, messages, claims, answers))

    async def _deliver(self, message: DeliveredMessage) -> None:
        self._waiting.append(message)
        self._arrived.set()

    async def _ask(self, claims: Sequence[Named]) -> list[bytes]:
        answers = [b""] * len(claims)
        turns = iter(range(len(claims)))

        async def ask() -> None:
            for turn in turns:
                answers[turn] = await self._ask_one(claims[turn])

        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*[ask() for _ in range(min(ASKERS, len(claims)))])
        return answers

    async def _ask_one(self, claim: Named) -> bytes:
        asked = claim.session_id or claim.transaction_id or claim.payment_id
        async with self._session.get(URL(f"{self._base}/{claim.provider}/{asked}", encoded=True)) as reply:
            return await reply.read()

    async def _settle(
        self,
        channel: AbstractChannel,
        publishing: Channel,
        insert: PreparedStatement[asyncpg.Record],
        messages: Sequence[DeliveredMessage],
        claims: Sequence[Named],
        answers: Sequence[bytes],
    ) -> None:
        now = datetime.now(UTC).isoformat().encode()
        events = [
            _EVENT % {b"id": claim.id.encode(), b"account": claim.account.encode(), b"now": now, b"answer": answer}
            for claim, answer in zip(claims, answers, strict=True)
        ]
        ids = [claim.id for claim in claims]
        async with asyncio.timeout(SECONDS):
            await insert.fetch(ids, [message.body for message in messages], answers, events)
            await self._publish(publishing, ids, events)
            await self._acknowledge(channel, messages)

    async def _acknowledge(self, channel: AbstractChannel, messages: Sequence[DeliveredMessage]) -> None:
        """Also acknowledges every message before the last of these."""
        await channel.basic_ack(messages[-1].delivery_tag or 0, multiple=True, wait=False)

    async def _publish(self, channel: Channel, ids: Sequence[str], events: Sequence[bytes]) -> None:
        """What aiormq's own `basic_publish` does for each message, done for all of them by one write."""
        confirmed: list[asyncio.Future[object]] = []
        frames: list[FrameType | ContentBody] = []
        loop = asyncio.get_running_loop()
        async with channel.lock:  # the numbers of publishes are their places on the wire
            for one, event in zip(ids, events, strict=True):
                channel.delivery_tag += 1
                confirmed.append(loop.create_future())
                channel.confirmations[channel.delivery_tag] = confirmed[-1]
                properties = Basic.Properties(
                    delivery_mode=2,
                    message_id=one,
                    message_type="payment.completed",
                    content_type="application/cloudevents+json",
                    app_id="bare",
                )
                frames += (self._target, ContentHeader(properties=properties, body_size=len(event)), ContentBody(event))
            await channel.write_queue.put(ChannelFrame.marshall(channel.number, frames))
        await asyncio.gather(*confirmed)


async def work(queue: type[Queue]) -> None:
    """Process the claims of all gateways, until the process is ended."""
    database, broker, base = (os.environ[name] for name in ("PEER_DATABASE", "PEER_BROKER", "PEER_GATEWAY"))
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=100, keepalive_timeout=30)
    async with (
        aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
        ) as session,
        aiormq.connect(broker) as consuming,
        aiormq.connect(broker) as producing,
        asyncio.TaskGroup() as group,
    ):
        publishing = await producing.channel(publisher_confirms=True)
        assert isinstance(publishing, Channel), "the type of aiormq's own connection"
        for gateway in GATEWAYS:
            group.create_task(queue(gateway, base, session, await asyncpg.connect(database)).run(consuming, publishing))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(Queue))
