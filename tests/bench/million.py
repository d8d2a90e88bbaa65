"""A shop with a million payments, and a small one beside it, in a cluster that can be kept: `filled(home, payments)`.

The payments were opened one every 31 seconds, the last one a moment ago. Most are completed, a tenth failed, one in a
thousand is held, an account has few, and some amounts have only the oldest payments. Every page of the console has
something to show: a payment with 50,000 entries, 100,000 deliveries of an endpoint, 100,000 records of the audit
trail, 300 dead letters, 200 proposals, and a statement of 100,000 rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from tests.bench.servers import Postgres
from worker.postgres.server.migrate import apply_migrations
from worker.runtime.contacts import ContactKeys

CHUNK, STEP_SECONDS = 50_000, 31
SMALL = 3_000
OLD_AMOUNT = 90_000
"""Only the oldest payments have it, one in a thousand of all."""

PHONE, CONTACT_KEY = "01712345678", b"k" * 32
ENDPOINT = "wh_0000000000aa"
RUN = "rec_" + "0" * 25 + "1"
LONG = 5
"""So many payments before the last one stands the payment with a long timeline."""

_LOADING = {
    "fsync": "off",  # a cluster whose filling was cut off is filled anew
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "full_page_writes": "off",
    "maintenance_work_mem": "1GB",
}


def payment_id(n: int) -> str:
    return f"pay_{n:026d}"


_ID = "'pay_' || lpad(n::text, 26, '0')"
_ACCOUNT = """CASE WHEN n > 9000000 THEN 'small-one' WHEN n % 100000 = 0 THEN 'shop-rare'
    WHEN n % 10 = 5 THEN 'shop-one' ELSE 'shop-ipay' END"""
_MERCHANT = "CASE WHEN n > 9000000 THEN 'small' ELSE 'shop' END"
_PENDING = "(n > $4 - 300 AND n % 3 = 0)"
_STATUS = f"""CASE WHEN {_PENDING} THEN 'pending' WHEN n % 10 = 0 THEN 'failed' WHEN n % 50 = 1 THEN 'expired'
    WHEN n % 100 = 3 THEN 'cancelled' WHEN n % 500 = 7 THEN 'refunded' ELSE 'completed' END"""
_PAID = f"{_STATUS} IN ('completed', 'refunded')"
_AMOUNT = f"(CASE WHEN n <= $4 / 1000 THEN {OLD_AMOUNT} ELSE 100 + n % 5000 END)::numeric"
_AT = f"$3::timestamptz - ($4 - n) * interval '{STEP_SECONDS} s'"
_FROM = "FROM generate_series($1::bigint, $2::bigint) AS n"
_USED = "AND $3::timestamptz IS NOT NULL AND $4::bigint IS NOT NULL"
"""A statement uses every value that it is given."""

_ROWS = (
    f"INSERT INTO sessions SELECT {_ACCOUNT}, 'S-' || n, {_ID} {_FROM} WHERE true {_USED}",
    f"INSERT INTO transactions SELECT {_ACCOUNT}, 'TX' || n, {_ID} {_FROM} WHERE {_PAID} {_USED}",
    f"""INSERT INTO payments (id, merchant, account, provider, reference, order_ref, amount, currency, description,
        metadata, status, holds, version, late, amount_verified, refunded_amount, aliases, transaction_id, session_id,
        return_url, opened_at, expires_at, completed_at, checked_at, opened, completed_told, closing_told, hint_asks,
        step, execute_tries, execute_unanswered, candidates, candidate_dropped)
    SELECT {_ID}, {_MERCHANT}, {_ACCOUNT}, CASE WHEN {_ACCOUNT} LIKE '%one' THEN 'onepaybd' ELSE 'ipay' END,
        'Order-' || n || '-A1', 'Order-' || n, {_AMOUNT}, 'BDT', 'Two saris', '{{"cart": "c-1"}}', {_STATUS},
        CASE WHEN n % 1000 = 9 THEN array['duplicate_for_order'] ELSE '{{}}' END, 2, false, true,
        CASE WHEN {_STATUS} = 'refunded' THEN {_AMOUNT} ELSE 0 END, '{{}}',
        CASE WHEN {_PAID} THEN 'TX' || n END, 'S-' || n, 'https://shop.example/thanks', {_AT},
        {_AT} + interval '30 min', CASE WHEN {_PAID} THEN {_AT} + interval '90 s' END, {_AT} + interval '90 s',
        true, {_PAID}, false, '{{}}', 0, 0, false, '[]', false
    {_FROM}""",
    f"""INSERT INTO events (id, payment_id, version, type, merchant, account, time, body, place)
    SELECT {_ID} || '.1', {_ID}, 1, CASE WHEN {_PAID} THEN 'payment.completed' ELSE 'payment.opened' END, {_MERCHANT},
        {_ACCOUNT}, {_AT}, convert_to('{{"id":"' || n || '","filling":"' || repeat(md5(n::text), 10) || '"}}', 'UTF8'),
        n {_FROM}""",
    f"""INSERT INTO contacts SELECT {_ID}, sha256((n % 200000)::text::bytea) {_FROM} WHERE true {_USED}""",
)
_BESIDE = (
    f"""INSERT INTO entries (payment_id, at, kind, data)
    SELECT {_ID}, {_AT} + k * interval '40 s', (array['claim', 'answer', 'decision'])[k],
        (array[
            '{{"said": "success", "source": "return", "authenticity": "unsigned", "verdict": "asks"}}',
            '{{"status": "completed", "word": "paid", "session_asked": "S"}}',
            '{{"change": "held: duplicate_for_order", "hold": "duplicate_for_order"}}'])[k]::jsonb
    {_FROM}, generate_series(1, 3) AS k WHERE (n > $4 - 20000 AND k < 3) OR (n % 1000 = 9)""",
    f"""INSERT INTO entries (payment_id, at, kind, data)
    SELECT 'pay_' || lpad(($4 - {LONG})::text, 26, '0'), $3::timestamptz - (50000 - k) * interval '1 s', 'claim',
        '{{"said": "success", "source": "webhook", "authenticity": "unsigned", "verdict": "repeated"}}'
    FROM generate_series(1, 50000) AS k WHERE $1::bigint <= $2::bigint""",
    f"""INSERT INTO endpoints (id, merchant, url, configured_id, place)
    SELECT '{ENDPOINT}', 'shop', 'https://shop.example/hooks', 'shop', $4
    WHERE $3::timestamptz IS NOT NULL AND $1::bigint <= $2::bigint""",
    f"""INSERT INTO deliveries (endpoint, event_id, place, attempts, next_at, delivered_at, given_up_at, answer)
    SELECT '{ENDPOINT}', {_ID} || '.1', n, 3, CASE WHEN n % 5 = 0 THEN $3::timestamptz + n * interval '1 ms' END,
        CASE WHEN n % 5 > 1 THEN $3::timestamptz END, CASE WHEN n % 5 = 1 THEN $3::timestamptz END, 'it answered 500'
    {_FROM} WHERE n > $4 - 100000""",
    """INSERT INTO relays SELECT 'rabbitmq', $4
    WHERE $3::timestamptz IS NOT NULL AND $1::bigint <= $2::bigint ON CONFLICT (name) DO UPDATE SET place = $4""",
    """INSERT INTO dead (claim_id, provider, body, reason)
    SELECT 'clm_' || k, 'ipay', '{}', 'a field is missing' FROM generate_series(1, 300) AS k
    WHERE $3::timestamptz IS NOT NULL AND $1::bigint <= $2::bigint AND $4::bigint > 0""",
    f"""INSERT INTO audit (actor, via, address, action, merchant, payment_id, why)
    SELECT 'abida', 'console', '10.0.0.7', 'payment.noted', CASE WHEN k % 2000 = 0 THEN 'small' ELSE 'shop' END,
        {_ID}, 'the buyer called' FROM generate_series(1, 100000) AS k, LATERAL (SELECT $4 - k AS n) AS of
    WHERE $3::timestamptz IS NOT NULL AND $1::bigint <= $2::bigint""",
    f"""INSERT INTO proposals (id, payment_id, merchant, version, basis, status, reason, proposed_by, proposed_via)
    SELECT 'prop_' || lpad(n::text, 24, '0'), {_ID}, 'shop', 2, 'basis', 'completed', 'paid by bank', 'anis', 'console'
    {_FROM} WHERE n % 1000 = 9 AND n > $4 - 200000 {_USED}""",
    """INSERT INTO statements (id, account, source, started_at, finished_at, dry_run, seen_before, sums)
    SELECT 'rec_' || lpad(k::text, 26, '0'), 'shop-ipay', 'may-' || k || '.csv', $3::timestamptz - k * interval '1 h',
        $3::timestamptz, false, false, '{"matched": {"rows": 99000, "amount": "990000.00", "fee": "0"}}'
    FROM generate_series(1, 300) AS k WHERE $1::bigint <= $2::bigint AND $4::bigint > 0""",
    f"""INSERT INTO statement_rows (statement, row, outcome, why, next, amount, at, transaction_id, reference)
    SELECT '{RUN}', k, CASE WHEN k % 100 = 0 THEN 'missing_here' ELSE 'matched' END, 'amount', 'none', 100 + k % 5000,
        $3::timestamptz, 'TX' || k, 'Order-' || k FROM generate_series(1, 100000) AS k
    WHERE $1::bigint <= $2::bigint AND $4::bigint > 0""",
)


@contextmanager
def filled(home: Path, payments: int) -> Iterator[str]:
    """The URL of a running cluster with so many payments of `shop`; one that was filled before is used again."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)  # the server's own user must get through
    done = home / f"filled-{payments}"
    database = Postgres(home / "postgres")
    try:
        if not done.exists():
            database.start(**_LOADING)
            asyncio.run(_fill(database.url, payments))
            database.stop()
            done.touch()
            database = Postgres(home / "postgres")
        database.start()
        asyncio.run(apply_migrations(database.url))
        yield database.url
    finally:
        database.stop()


async def _fill(url: str, payments: int) -> None:
    await apply_migrations(url)
    connection, now = await asyncpg.connect(url), datetime.now(UTC)
    try:
        await connection.execute("SET session_replication_role = replica")  # its rows are as they should be
        for first in range(1, payments + 1, CHUNK):
            await _insert(connection, _ROWS, first, min(first + CHUNK - 1, payments), now, payments)
        await _insert(connection, _ROWS, 9_000_001, 9_000_000 + SMALL, now, 9_000_000 + SMALL)
        await _insert(connection, _BESIDE, 1, payments, now, payments)
        for hashed in ContactKeys([CONTACT_KEY]).of_customer("shop", {"phone": PHONE}):
            ids = [payment_id(n) for n in range(1, payments + 1, max(1, payments // 30))]
            await connection.execute("INSERT INTO contacts SELECT unnest($1::text[]), $2", ids, hashed)
        await connection.execute("VACUUM ANALYZE", timeout=600)
        await connection.execute("CHECKPOINT", timeout=600)
    finally:
        await connection.close()


async def _insert(
    connection: asyncpg.Connection[asyncpg.Record], rows: tuple[str, ...], first: int, last: int, now: datetime, n: int
) -> None:
    for sql in rows:
        await connection.execute(sql, first, last, now, n, timeout=600)
