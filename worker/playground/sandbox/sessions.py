"""A checkout as the gateway's own books hold it, and its look-up.

`status` is the sandbox's word for all gateways; each gateway's file has the table into its own words. `open` and
`approved` end by the clock, and the next request after that moment notices.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import asdict, replace

from worker.playground.sandbox.state import State

Standing = Literal["open", "approved", "paid", "failed", "cancelled", "expired", "refunded", "review"]


class Session(Struct, frozen=True, kw_only=True):
    """One checkout. Amounts are decimal text, times seconds of the sandbox's clock.

    `approved`: the buyer agreed, and Execute has not taken the money (bKash, OnePayBD). `review`: the buyer paid, and
    the gateway has not said yes to it. `body` is the request that
    opened it, `notes` what its gateway's file adds. `paid_amount` and `paid_currency` differ from the request where a
    test wants that.
    """

    provider: str
    session_id: str
    merchant: str
    reference: str
    amount: str
    currency: str
    body: Mapping[str, Any]
    created_at: float
    expires_at: float
    status: Standing = "open"
    notes: Mapping[str, Any] = {}
    transaction_id: str | None = None
    paid_amount: str | None = None
    paid_currency: str | None = None
    refunded: str = "0.00"
    paid_at: float | None = None

    @property
    def payable(self) -> bool:
        return self.status == "open"

    @property
    def paid(self) -> bool:
        return self.status in ("paid", "refunded")

    @property
    def told_amount(self) -> str:
        """The amount in the gateway's answers."""
        return self.paid_amount or self.amount

    @property
    def told_currency(self) -> str:
        return self.paid_currency or self.currency


class Transaction(Struct, frozen=True, kw_only=True):
    """One attempt to pay a session; `open` while the buyer has not decided."""

    provider: str
    transaction_id: str
    session_id: str
    status: Standing
    amount: str
    currency: str
    made_at: float


_COLUMNS = Session.__struct_fields__
_SAVE = (
    f"INSERT INTO sessions ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608 - own fields
    f"ON CONFLICT (provider, session_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS)}"
)


class Sessions:
    """Every gateway's sessions and transactions in the state file."""

    def __init__(self, state: State) -> None:
        self._db = state.db

    def save(self, session: Session) -> Session:
        values = asdict(session) | {"body": json.dumps(session.body), "notes": json.dumps(session.notes)}
        self._db.execute(_SAVE, tuple(values[name] for name in _COLUMNS))
        return session

    def get(self, provider: str, session_id: str) -> Session | None:
        return next(iter(self._where("provider = ? AND session_id = ?", provider, session_id)), None)

    def latest(self, provider: str, reference: str) -> Session | None:
        return next(iter(self._where("provider = ? AND reference = ?", provider, reference)), None)

    def noted(self, provider: str, name: str, value: str) -> Session | None:
        """The newest session with this text in its notes."""
        found = self._where("provider = ? AND notes ->> ? = ?", provider, f"$.{name}", value)
        return next(iter(found), None)

    def of(self, provider: str | None, reference: str | None, merchant: str | None = None) -> list[Session]:
        """All sessions that fit, newest first; None fits all."""
        wanted = {"provider": provider, "reference": reference, "merchant": merchant}
        given = {name: value for name, value in wanted.items() if value is not None}
        return self._where(" AND ".join(f"{name} = ?" for name in given) or "1", *given.values())

    def expire(self, now: float) -> list[Session]:
        """Move every session whose time is over, and return those moved."""
        # Without the hint SQLite reads all sessions in the order of rowid, and not the index of those that can expire.
        over = self._where("status IN ('open', 'approved') AND unlikely(expires_at <= ?)", now)
        return [self.save(replace(session, status="expired")) for session in over]

    def add_transaction(self, made: Transaction) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                made.provider,
                made.transaction_id,
                made.session_id,
                made.status,
                made.amount,
                made.currency,
                made.made_at,
            ),
        )

    def transaction(self, provider: str, transaction_id: str) -> Transaction | None:
        row = self._db.execute(
            "SELECT * FROM transactions WHERE provider = ? AND transaction_id = ? ORDER BY rowid DESC LIMIT 1",
            (provider, transaction_id),
        ).fetchone()
        return None if row is None else Transaction(**dict(row))

    def transactions(self, session: Session) -> list[Transaction]:
        rows = self._db.execute(
            "SELECT * FROM transactions WHERE provider = ? AND session_id = ? ORDER BY rowid",
            (session.provider, session.session_id),
        )
        return [Transaction(**dict(row)) for row in rows]

    def _where(self, condition: str, *values: object) -> list[Session]:
        query = f"SELECT * FROM sessions WHERE {condition} ORDER BY rowid DESC"  # noqa: S608 - conditions are above
        return [_session(row) for row in self._db.execute(query, values)]


def _session(row: sqlite3.Row) -> Session:
    return Session(**(dict(row) | {"body": json.loads(row["body"]), "notes": json.loads(row["notes"])}))
