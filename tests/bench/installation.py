"""A payproof under test: its configuration for the simulated gateways, its open payments, and its processes.

It runs with its default schedules and limits, as a shop would run it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path

import asyncpg
import msgspec
from msgspec import Struct

from tests.bench.delays import AT_ONCE, Delays
from tests.bench.numbered import GATEWAYS, payment_id_sql, reference_sql, session_id, session_id_sql
from tests.bench.servers import Servers
from tests.harness import Child, free_ports
from worker.playground.sandbox.accounts import accounts_toml

READY_SECONDS = 60.0
_MERCHANT = """\
[[merchants]]
id = "shop"
name = "Bench shop"
api_keys = ["bench-key-that-is-of-no-worth"]

"""

# Each open payment as POST /v1/payments leaves it: its row, its session, its order, and its opened event, published.
_OPEN = f"""
    WITH numbered AS (
        SELECT n, (ARRAY[{", ".join(f"'{gateway}'" for gateway in GATEWAYS)}])[n % {len(GATEWAYS)} + 1] AS gateway,
            {payment_id_sql()} AS id, {reference_sql()} AS reference, {session_id_sql()} AS session_id,
            now() - $3::interval AS opened_at
        FROM generate_series($1::bigint, $2::bigint) AS n
    ), opened AS (
        INSERT INTO payments (id, merchant, account, provider, reference, order_ref, amount, currency, description,
            metadata, status, holds, version, late, amount_verified, refunded_amount, session_id, aliases, checkout_url,
            opened_at, expires_at, opened, completed_told, closing_told, hint_asks, schedule, step, next_check_at,
            execute_tries, execute_unanswered, candidates, candidate_dropped)
        SELECT id, 'shop', 'shop-' || gateway, gateway, reference, reference, 100 + n % 900, 'BDT', 'Order ' || n,
            '{{"cart": "7f3a"}}', 'pending', '{{}}', 1, false, false, 0, session_id, '{{}}',
            'https://gateway.example/pay/' || session_id, opened_at, opened_at + interval '1 day',
            true, false, false, '{{}}', 'pending', 0, opened_at + interval '1 hour', 0, false, '[]', false
        FROM numbered ORDER BY n
    ), known AS (
        INSERT INTO sessions (account, session_id, payment_id)
        SELECT 'shop-' || gateway, session_id, id FROM numbered ORDER BY n
    ), told AS (
        INSERT INTO events (id, payment_id, version, type, merchant, account, time, body, place)
        SELECT id || '.1', id, 1, 'payment.opened', 'shop', 'shop-' || gateway, opened_at,
            convert_to('{{"id":"' || id || '.1","filling":"' || repeat(md5(id), 22) || '"}}', 'UTF8'),
            (SELECT coalesce(max(place), 0) FROM events) + n - $1 + 1
        FROM numbered ORDER BY n
    )
    INSERT INTO entries (payment_id, at, kind, data)
    SELECT id, opened_at, 'event', jsonb_build_object('id', id || '.1', 'type', 'payment.opened')
    FROM numbered ORDER BY n
"""


def config(gateways_url: str) -> str:
    return _MERCHANT + accounts_toml(gateways_url, GATEWAYS)


async def open_payments(url: str, first: int, last: int, ago: timedelta = timedelta()) -> None:
    """Insert payments `first` to `last`, whose checkouts were opened `ago` before now and are paid by now.

    The sweep looks at them one hour after they were opened, and each could be paid for a day.
    """
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(_OPEN, first, last, ago)
            await connection.execute(
                """INSERT INTO relays SELECT 'rabbitmq', max(place) FROM events
                   ON CONFLICT (name) DO UPDATE SET place = excluded.place"""
            )
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


class Gateways(Struct, frozen=True):
    """The simulated gateways, all in one process."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def delay(self, gateway: str, seconds: float) -> None:
        """From now on this gateway answers after this many seconds; earlier questions keep their delay."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("PUT", f"/delay/{gateway}/{seconds}")
            assert connection.getresponse().status == 200
        finally:
            connection.close()


@contextmanager
def simulated_gateways(servers: Servers, delays: Delays = AT_ONCE) -> Iterator[Gateways]:
    """While the block runs, the gateways answer, each payment after its delay."""
    (port,) = free_ports(1)
    words = (str(port), f"--delays={msgspec.json.encode(delays).decode()}")
    child = Child("gateways", "tests.bench.gateway", *words, log=servers.place / "gateway.log", settings={})
    child.start()
    try:
        child.wait_for(f"http://127.0.0.1:{port}/ipay/{session_id(1)}", seconds=READY_SECONDS)
        yield Gateways(port)
    finally:
        child.kill()


def service(both: Servers, gateways_url: str, roles: str) -> Child:
    """One process of payproof with these roles; the caller ends it."""
    public, ops = free_ports(2)
    toml = both.place / "payproof.toml"
    toml.write_text(config(gateways_url))
    settings = settings_of(both, toml, public) | {
        "PAYPROOF_AMQP_URL": both.broker.url,
        "PAYPROOF_OPS_LISTEN": f"127.0.0.1:{ops}",
    }
    words = ("serve", f"--roles={roles}")
    return Child("payproof", "worker.cli", *words, log=both.place / "payproof.log", settings=settings)


def settings_of(both: Servers, toml: Path, public: int) -> dict[str, str]:
    """The environment of every process, with either bus."""
    return {
        "PAYPROOF_CONFIG": str(toml),
        "PAYPROOF_DATABASE_URL": both.database.url,
        "PAYPROOF_LISTEN": f"127.0.0.1:{public}",
        "PAYPROOF_LOG": "json",
    }
