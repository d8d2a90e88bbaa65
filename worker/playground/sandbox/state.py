"""The sandbox's stored state: one SQLite file with its tables, its clock and its source of ids.

The sandbox's clock is the real clock plus an offset that tests move. Expiry, tokens and every time in an answer follow
it. Webhook signatures and retries follow the real clock, since their receivers do.
"""

from __future__ import annotations

import random
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

SCHEMA = """
-- One checkout in a gateway's books. A reference may have several where the gateway allows it; the newest counts.
CREATE TABLE IF NOT EXISTS sessions (
    provider TEXT NOT NULL, session_id TEXT NOT NULL, merchant TEXT NOT NULL, reference TEXT NOT NULL,
    amount TEXT NOT NULL, currency TEXT NOT NULL, status TEXT NOT NULL, body TEXT NOT NULL, notes TEXT NOT NULL,
    transaction_id TEXT, paid_amount TEXT, paid_currency TEXT, refunded TEXT NOT NULL,
    created_at REAL NOT NULL, expires_at REAL NOT NULL, paid_at REAL,
    PRIMARY KEY (provider, session_id));
CREATE INDEX IF NOT EXISTS sessions_by_reference ON sessions (provider, reference);
CREATE INDEX IF NOT EXISTS sessions_to_expire ON sessions (expires_at) WHERE status IN ('open', 'approved');

-- One attempt to pay. Moneybag's status is asked by transaction_id; a session may have several.
CREATE TABLE IF NOT EXISTS transactions (
    provider TEXT NOT NULL, transaction_id TEXT NOT NULL, session_id TEXT NOT NULL, status TEXT NOT NULL,
    amount TEXT NOT NULL, currency TEXT NOT NULL, made_at REAL NOT NULL,
    PRIMARY KEY (provider, transaction_id, session_id));

-- Granted tokens, good until expires_at unless revoked (deleted). use: 'access', or 'refresh' for a new one.
CREATE TABLE IF NOT EXISTS tokens (
    token TEXT PRIMARY KEY, provider TEXT NOT NULL, use TEXT NOT NULL, expires_at REAL NOT NULL);

-- ShadhinPay's memory of idempotency keys: the first answer is given again for 24 hours.
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, answer BLOB NOT NULL, at REAL NOT NULL);

-- Webhooks to send: 'due' until a 2xx ('delivered') or the last attempt ('given_up'). due_at is real time. secret is
-- a forger's, NULL for the gateway's own. backdated: the signature's age in seconds. most_attempts NULL: the config's.
CREATE TABLE IF NOT EXISTS deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, reference TEXT NOT NULL, event_id TEXT NOT NULL,
    event_type TEXT NOT NULL, url TEXT NOT NULL, signed INTEGER NOT NULL, body BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due_at REAL NOT NULL, state TEXT NOT NULL DEFAULT 'due',
    statuses TEXT NOT NULL DEFAULT '', secret TEXT, backdated REAL NOT NULL DEFAULT 0, most_attempts INTEGER);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due_at) WHERE state = 'due';

-- Deeds that the sandbox does later: 'due' until 'done', or 'impossible' where the session no longer allows it.
-- due_at is real time; detail is the address to visit (and the form to post there), the amount to refund, or the
-- transaction id to pay under.
CREATE TABLE IF NOT EXISTS scheduled (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, reference TEXT NOT NULL, session_id TEXT NOT NULL,
    does TEXT NOT NULL, detail TEXT, due_at REAL NOT NULL, state TEXT NOT NULL DEFAULT 'due', result TEXT);
CREATE INDEX IF NOT EXISTS scheduled_due ON scheduled (due_at) WHERE state = 'due';

-- Troubles set on purpose. The oldest that fits a call is used first, after `skip` fitting calls. remaining NULL lasts
-- until cleared, or until the real time `until`. Troubles of kind 'shopper' are met by the buyer's deeds.
CREATE TABLE IF NOT EXISTS troubles (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, reference TEXT, kind TEXT NOT NULL,
    trouble TEXT NOT NULL, seconds REAL, remaining INTEGER, skip INTEGER NOT NULL DEFAULT 0, until REAL);

-- How often each gateway was called, for checking budgets; the reference is '' where a call names none.
CREATE TABLE IF NOT EXISTS calls (
    provider TEXT NOT NULL, reference TEXT NOT NULL, kind TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (provider, reference, kind));

-- How many sets of ids were drawn for each gateway and reference; the seed and this number decide the next set.
CREATE TABLE IF NOT EXISTS draws (
    provider TEXT NOT NULL, reference TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (provider, reference));

-- The seed, the offset of the clock, and settings changed while running.
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

VERSION = 3
_EMPTIED = ("sessions", "transactions", "tokens", "idempotency", "deliveries", "scheduled", "troubles", "calls")


class AnotherVersion(Exception):
    """The state file was written by a sandbox whose tables differ."""


class State:
    """The open file. Everything is synchronous and short; writes happen inside `transaction()`."""

    def __init__(self, path: str, seed: int | None, *, anew: bool = False) -> None:
        """Open or create the file; `anew` empties an existing file. Raises AnotherVersion."""
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        if anew:
            self._drop()
        if self._tables() and self.db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            self.db.close()
            raise AnotherVersion(f"{path} is the state of another version of the sandbox")
        self.db.execute(f"PRAGMA user_version = {VERSION}")
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.executescript(SCHEMA)
        if self.setting("seed") is None:
            self.set("seed", str(secrets.randbits(32) if seed is None else seed))
        self._seed = self.setting("seed")
        self._offset = float(self.setting("offset") or 0)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits all writes of the block, or none. Inside another transaction it is part of that."""
        if self.db.in_transaction:
            yield
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def now(self) -> float:
        """The sandbox's time in seconds since the epoch."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        self._offset += seconds
        self.set("offset", repr(self._offset))

    def draw(self, provider: str, reference: str) -> random.Random:
        """A source of randomness for one set of ids: never the same twice in one state, and repeatable by seed.

        It depends only on the seed, the gateway, the reference and how many were drawn for these before. So orders that
        are paid side by side get the same ids in every run.
        """
        row = self.db.execute(
            "INSERT INTO draws VALUES (?, ?, 1) ON CONFLICT (provider, reference) DO UPDATE SET n = n + 1 RETURNING n",
            (provider, reference),
        ).fetchone()
        return random.Random(f"{self._seed}/{provider}/{row['n']}/{reference}")

    def setting(self, name: str) -> str | None:
        row = self.db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row["value"])

    def set(self, name: str, value: str) -> None:
        self.db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def reset(self, seed: int | None = None) -> None:
        """Forget everything. Without a seed no earlier id is given out again; with a seed all ids begin anew."""
        with self.transaction():
            for table in (*_EMPTIED, *(("draws",) if seed is not None else ())):
                self.db.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the tuple above
            self.db.execute("DELETE FROM settings WHERE name != 'seed'")
            if seed is not None:
                self.set("seed", str(seed))
        self._seed = self.setting("seed")
        self._offset = 0.0

    def close(self) -> None:
        self.db.close()

    def _tables(self) -> list[str]:
        rows = self.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return [row["name"] for row in rows if not row["name"].startswith("sqlite_")]

    def _drop(self) -> None:
        with self.transaction():
            for table in self._tables():
                self.db.execute(f'DROP TABLE "{table}"')
