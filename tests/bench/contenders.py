"""The contenders that drain claims: payproof, the bare limit, and two stacks that a competent team would have used.

They do comparable work. Each finds the same claims in quorum queues, asks the same gateways, and publishes nothing
before it is durable; how many payments it verified is counted. A peer's libraries are imported only where they are
needed, so draining payproof alone works without the extra `bench`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import asyncpg
import msgspec
from msgspec import Struct

from tests.bench.installation import open_payments, service
from tests.bench.numbered import GATEWAYS, claim, number_sql, payment_id_sql, reference_sql, session_id_sql
from tests.bench.peers import bare
from tests.bench.servers import Servers
from tests.harness import Child
from worker.amqp.messages import claim_message
from worker.amqp.publisher import confirm
from worker.amqp.topology import claims_queue, declare
from worker.postgres.server.migrate import apply_migrations

ROOT = Path(__file__).resolve().parents[2]
CELERY_PROCESSES = 8
"""The best of 2, 4 and 8, tried on two cores: a process waits for gateway, database and broker in turn."""

_OPEN = f"""
    INSERT INTO peer_payments (id, account, reference, session_id, amount, currency, status, opened_at)
    SELECT {payment_id_sql()}, 'shop-' || ($3::text[])[n % 3 + 1], {reference_sql()},
        {session_id_sql()}, 100 + n % 900, 'BDT', 'pending', now()
    FROM generate_series($1::bigint, $2::bigint) AS n
"""


class Contender(Struct, frozen=True, kw_only=True):
    """A program that drains claims.

    `prepare` leaves payments `first` to `last` open and their claims waiting. `children` are its processes, or the
    parents of them all, not yet started; they get the gateways' URL. `verified` counts, of payments `$1` to `$2`, those
    that its own tables hold as verified.
    """

    name: str
    prepare: Callable[[Servers, int, int], Awaitable[None]]
    children: Callable[[Servers, str], Sequence[Child]]
    verified: str


async def load(url: str, first: int, last: int) -> None:
    """Put claims `first` to `last`, and no others, durably into their queues."""
    async with await aio_pika.connect(url) as connection:
        await declare(connection, GATEWAYS)
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        for gateway in GATEWAYS:
            await (await channel.get_queue(claims_queue(gateway), ensure=False)).purge()
        now = datetime.now(UTC)
        for start in range(first, last + 1, 500):
            posts = [claim_message(claim(n, now)) for n in range(start, min(start + 500, last + 1))]
            await asyncio.gather(*[confirm(channel, post) for post in posts])


async def _payproof(both: Servers, first: int, last: int) -> None:
    await apply_migrations(both.database.url)
    await open_payments(both.database.url, first, last)
    await load(both.broker.url, first, last)


async def _bare(both: Servers, first: int, last: int) -> None:
    await _make(both, bare.TABLE)
    await load(both.broker.url, first, last)


async def _faststream(both: Servers, first: int, last: int) -> None:
    await _open(both, first, last)
    await load(both.broker.url, first, last)


async def _celery(both: Servers, first: int, last: int) -> None:
    """Its claims wait as tasks, because Celery reads no other messages."""
    from tests.bench.peers import celery_peer

    await _open(both, first, last)
    now = datetime.now(UTC)
    claims = [msgspec.to_builtins(claim(n, now)) for n in range(first, last + 1)]
    await asyncio.to_thread(celery_peer.wait_in_queues, both.broker.url, claims)
    async with await aio_pika.connect(both.broker.url) as connection:
        await declare(connection, GATEWAYS)  # events need this exchange


async def _open(both: Servers, first: int, last: int) -> None:
    from tests.bench.peers.tables import tables

    await _make(both, tables(), _OPEN, first, last, list(GATEWAYS))


async def _make(both: Servers, tables: str, filling: str = "", *numbers: object) -> None:
    connection = await asyncpg.connect(both.database.url)
    try:
        await connection.execute(tables)
        if filling:
            await connection.execute(filling, *numbers)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def _peer(name: str, *words: str) -> Callable[[Servers, str], Sequence[Child]]:
    def children(both: Servers, gateways_url: str) -> Sequence[Child]:
        settings = {
            "PEER_DATABASE": both.database.url,
            "PEER_BROKER": both.broker.url,
            "PEER_GATEWAY": gateways_url,
            "PYTHONPATH": str(ROOT),
        }
        return [Child(name, *words, log=both.place / f"{name}.log", settings=settings)]

    return children


_AMONG = f"id IN (SELECT {payment_id_sql()} FROM generate_series($1::bigint, $2::bigint) AS n)"
_VERIFIED = f"SELECT count(*) FROM payments WHERE status = 'completed' AND {_AMONG}"
_BARE_VERIFIED = f"SELECT count(*) FROM bare_claims WHERE {number_sql('id')} BETWEEN $1 AND $2"
_PEERS_VERIFIED = f"SELECT count(*) FROM peer_payments WHERE status = 'completed' AND {_AMONG}"

PAYPROOF = Contender(
    name="payproof",
    prepare=_payproof,
    children=lambda both, url: [service(both, url, "consume,relay")],
    verified=_VERIFIED,
)
PAYPROOF_TWICE = Contender(
    name="payproof, two processes",
    prepare=_payproof,
    children=lambda both, url: [service(both, url, "consume,relay"), service(both, url, "consume")],
    verified=_VERIFIED,
)
BARE = Contender(
    name="bare",
    prepare=_bare,
    children=_peer("bare", "tests.bench.peers.bare"),
    verified=_BARE_VERIFIED,
)
bare_each = _peer("bare", "tests.bench.peers.bare_each")
"""The bare limit's process for claims that come one at a time."""

FASTSTREAM = Contender(
    name="faststream",
    prepare=_faststream,
    children=_peer("faststream", "tests.bench.peers.faststream_peer"),
    verified=_PEERS_VERIFIED,
)
CELERY = Contender(
    name="celery",
    prepare=_celery,
    children=_peer(
        "celery",
        "celery",
        "--app=tests.bench.peers.celery_peer:app",
        "worker",
        f"--concurrency={CELERY_PROCESSES}",
        "--loglevel=WARNING",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ),
    verified=_PEERS_VERIFIED,
)
CONTENDERS = (PAYPROOF, BARE, FASTSTREAM, CELERY)
"""The contenders that are compared with each other; payproof in two processes is reported beside them."""
