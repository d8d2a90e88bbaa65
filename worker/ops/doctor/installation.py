"""Findings from the database: its clock, free connections, dead letters, overdue payments, silent and unknown accounts.

Every query here is answered from an index, so that a full table costs no more.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from consumers.checks.limits import ACCOUNT_BREAKER
from worker.config import Config
from worker.config.webhook_endpoints import endpoints_of
from worker.ops.doctor.findings import Finding
from worker.postgres.database import Database
from worker.postgres.events.orphans import list_orphans
from worker.postgres.events.publish_cursor import BROKER
from worker.postgres.lost_events import read_lost
from worker.postgres.pools import CONNECTIONS, READ_CONNECTIONS
from worker.postgres.reads.find import ACCOUNTS
from worker.postgres.spent_bytes import archive_bytes
from worker.runtime.sizes import GB

NAMED = 20
MOST_APART = timedelta(seconds=2)
LATE, VERY_LATE = timedelta(minutes=2), timedelta(minutes=15)

PROCESS_CONNECTIONS = CONNECTIONS + READ_CONNECTIONS + 4
"""Of a process of all roles: its pools, and one each for wakeups, for locks, for publishing and for a new primary."""

_FREE = """
    SELECT current_setting('max_connections')::int AS most, current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int AS free
"""
_OLDEST_DUE = f"""
    WITH accounts AS ({ACCOUNTS})
    SELECT a.account, due.at, clock_timestamp() AS now FROM accounts a CROSS JOIN LATERAL (
        SELECT p.next_check_at AS at FROM payments p
        WHERE p.account = a.account AND p.next_check_at IS NOT NULL ORDER BY p.next_check_at LIMIT 1) due
    WHERE a.account = ANY($1) ORDER BY due.at LIMIT 1
"""  # noqa: S608 - our own words
_UNKNOWN = f"""
    WITH accounts AS ({ACCOUNTS})
    SELECT a.account, (SELECT count(*) FROM payments p
        WHERE p.account = a.account AND p.next_check_at IS NOT NULL) AS waiting
    FROM accounts a WHERE a.account <> ALL($1) ORDER BY a.account
"""  # noqa: S608 - our own words
_HELD_BACK = """
    SELECT e.time FROM relays r CROSS JOIN LATERAL (
        SELECT v.time FROM events v WHERE v.place > r.place ORDER BY v.place LIMIT 1) AS e
    WHERE r.name = $1 AND e.time < clock_timestamp() - $2::interval
"""
_SILENT = """
    SELECT account, troubles, shut_until, shut_until > clock_timestamp() AS shut
    FROM allowances WHERE account = ANY($1) AND troubles >= $2 ORDER BY account
"""


async def inspect_installation(database: Database, config: Config) -> AsyncIterator[Finding]:
    accounts = [account.id for account in config.accounts]
    yield await _clock(database)
    for row in await database.fetch(_FREE):
        if row["free"] < PROCESS_CONNECTIONS:
            words = f"{row['free']} of {row['most']} are free, and a process of all roles opens {PROCESS_CONNECTIONS}"
            yield Finding("!!", "database connections", words, "raise max_connections")
    for row in await database.fetch("SELECT count(*) AS count, min(died_at) AS since FROM dead"):
        if row["count"]:
            words = f"{row['count']} waiting in Postgres, the oldest since {row['since']:%Y-%m-%d %H:%M:%SZ}"
            yield Finding("!!", "dead letters", words, "look at them with payproof dead list")
    if found := archive_fills(await archive_bytes(database), config.archive.max_size):
        yield found
    for finding in await _lost(database):
        yield finding
    if config.settings.amqp_url is None and config.retention.events is not None:
        for row in await database.fetch(_HELD_BACK, BROKER, timedelta(seconds=config.retention.events)):
            words = f"events since {row['time']:%Y-%m-%d} are kept for RabbitMQ, and PAYPROOF_AMQP_URL is not set"
            yield Finding("!!", "retention.events", words, "runbook: PayproofEventsHeldBack")
    silent = await database.fetch(_SILENT, accounts, ACCOUNT_BREAKER.threshold)
    asked = sorted({*accounts} - {row["account"] for row in silent})  # payments of a silent gateway wait for it
    for row in await database.fetch(_OLDEST_DUE, asked):
        if found := overdue(row["account"], row["at"], row["now"]):
            yield found
    for row in silent:
        until = f"nobody asks it before {row['shut_until']:%H:%M:%SZ}" if row["shut"] else "one question probes it next"
        words = f"its gateway gave {row['troubles']} times in a row no answer; {until}"
        yield Finding(
            "!!", f"account {row['account']}", words, "its payments wait, and are asked once it answers again"
        )
    for row in await database.fetch(_UNKNOWN, accounts):
        subject, waiting = f"account {row['account']}", row["waiting"]
        words = "its payments are stored here, and it is not in the configuration"
        if waiting:
            to_do = "put it back until they are settled; nothing asks about them now"
            yield Finding("no", subject, f"{words}; {waiting} of them are not settled", to_do)
        else:
            yield Finding("!!", subject, f"{words}; all of them are settled")
    for orphan in await list_orphans(database, endpoints_of(config)):
        words = f"{orphan.waiting} events wait for it, and it is not in the configuration, so nothing sends them"
        to_do = (
            f"payproof webhooks move {orphan.id} ENDPOINT sends them to another endpoint of {orphan.merchant}; "
            f"payproof webhooks drop {orphan.id} gives them up"
        )
        yield Finding("no", f"endpoint {orphan.id} of {orphan.merchant}", words, to_do)


def archive_fills(size: int, max_size: int) -> Finding | None:
    """A finding where the archive has more than nine tenths of its bound; both in bytes."""
    if size <= max_size * 9 // 10:
        return None
    words = f"callbacks as received have {size / GB:.1f} of {max_size / GB:.1f} GB"
    to_do = "past that only digests are stored; raise [archive] max_size if the disk allows, or lower retention"
    return Finding("!!", "archive.max_size", words, to_do)


async def _lost(database: Database) -> list[Finding]:
    """A finding for events that a failover lost, and one for the payments that are gone with them."""
    findings, rows = [], await read_lost(database)
    if rows:
        words = f"a server took over without the last commits: {len(rows)} events that were sent or confirmed are lost"
        findings.append(Finding("!!", "failover", words, "runbook: PayproofFailoverLostTransactions"))
    gone = sorted({f"{row['account']} {row['reference'] or row['id']}" for row in rows if row["missing"]})
    if gone:
        words = f"{len(gone)} payments were lost: {', '.join(gone[:NAMED])}{', …' if len(gone) > NAMED else ''}"
        findings.append(Finding("no", "failover", words, "the shop posts them again, with the same references"))
    return findings


def overdue(account: str, at: datetime, now: datetime) -> Finding | None:
    """A finding where the longest waiting payment has been due for so long that no process seems to ask; else None."""
    if now - at <= LATE:
        return None
    minutes = (now - at) // timedelta(minutes=1)
    words = f"a payment of {account} is due since {at:%Y-%m-%d %H:%M:%SZ}, for {minutes} minutes"
    to_do = "is a payproof serve running, with the roles sweep and consume? else its budget or gateway holds it up"
    return Finding("no" if now - at > VERY_LATE else "!!", "sweep", words, to_do)


async def _clock(database: Database) -> Finding:
    asked = time.monotonic()
    (row,) = await database.fetch("SELECT clock_timestamp() AS now")
    travelled = timedelta(seconds=(time.monotonic() - asked) / 2)
    apart = row["now"] - (datetime.now(UTC) - travelled)
    if abs(apart) <= MOST_APART:
        return Finding("ok", "database clock", "it and this machine's agree")
    words = f"it is {abs(apart).total_seconds():.0f} s {'ahead of' if apart > timedelta() else 'behind'} this machine's"
    return Finding("!!", "database clock", words, "the database's is the one that counts; set both by NTP")
