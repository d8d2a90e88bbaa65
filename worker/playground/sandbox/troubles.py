"""Troubles: stored in the state, met by the calls that they fit, oldest first. `trouble_replies` carries them out.

`lost_answer` does the work and loses the answer; `timeout` and `reset` do no work.
"""

from __future__ import annotations

import time
from typing import Literal

from msgspec import Struct
from msgspec.structs import asdict

from worker.playground.sandbox.gateway_call import Kind
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Deed
from worker.playground.sandbox.state import State

Name = Literal[
    "timeout",
    "reset",
    "500",
    "503",
    "429",
    "html",
    "401",
    "unknown_word",
    "slow",
    "not_found",
    "html_404",
    "text_404",
    "json_404",
    "contradiction",
    "still_pending",
    "lost_answer",
    "wrong_identity",
    "wrong_currency",
    "wrong_amount",
    "json_in_json",
    "numbers",
]
AtDeed = Literal[
    "callback_lost",
    "callback_doubled",
    "callback_late",
    "callback_reordered",
    "callback_forged",
    "callback_of_another",
    "amount_tampered",
    "currency_tampered",
    "token_revoked",
    "paid_after_expiry",
    "paid_after_review",
    "paid_twice",
    "refunded_in_part",
    "refunded_in_full",
    "status_not_found",
    "status_proxy_404",
    "status_pending",
    "webhook_forged",
    "webhook_late",
    "webhook_replayed",
    "gateway_down",
    "paid_at_risk",
]
# These are met by any deed of the buyer's; the rest of AtDeed by a payment alone.
_BY_ANY_DEED = frozenset(
    {
        "callback_lost",
        "callback_doubled",
        "callback_late",
        "status_not_found",
        "status_proxy_404",
        "status_pending",
        "token_revoked",
        "webhook_forged",
        "webhook_late",
        "webhook_replayed",
        "gateway_down",
    }
)
FALSIFIES = frozenset(
    {"unknown_word", "contradiction", "still_pending", "wrong_identity", "wrong_currency", "wrong_amount", "numbers"}
)
OF_ANSWERS = FALSIFIES | {"lost_answer", "json_in_json"}
DEFAULT_SECONDS = {"timeout": 60.0, "slow": 3.0, "429": 1.0}


class Trouble(Struct, frozen=True, kw_only=True):
    """One trouble for calls of a kind (`any`: every kind), `remaining` times more; None: until cleared.

    `skip` fitting calls pass before it acts; `until` is the real time at which it ends by itself. A trouble of kind
    `shopper` is met by the buyer's deeds.
    """

    seq: int
    provider: str
    reference: str | None
    kind: Kind | Literal["any", "shopper"]
    trouble: Name | AtDeed
    seconds: float | None
    remaining: int | None
    skip: int
    until: float | None

    @property
    def duration(self) -> float:
        return DEFAULT_SECONDS.get(self.trouble, 0.0) if self.seconds is None else self.seconds


class Troubles:
    def __init__(self, state: State) -> None:
        self._db = state.db

    def add(
        self,
        provider: str,
        reference: str | None,
        kind: str,
        trouble: str,
        *,
        seconds: float | None = None,
        times: int | None = 1,
        skip: int = 0,
        until: float | None = None,
    ) -> None:
        self._db.execute(
            "INSERT INTO troubles (provider, reference, kind, trouble, seconds, remaining, skip, until) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (provider, reference, kind, trouble, seconds, times, skip, until),
        )

    def take(self, provider: str, reference: str | None, kind: Kind) -> Trouble | None:
        """The trouble this call meets, counted down. A trouble with a reference fits only that reference."""
        self._end_those_over()
        rows = self._db.execute(
            "SELECT * FROM troubles WHERE provider = ? AND (reference IS NULL OR reference = ?) AND kind IN (?, 'any') "
            "ORDER BY seq",
            (provider, reference, kind),
        ).fetchall()
        for row in rows:
            if row["skip"] == 0:
                self._use(row["seq"])
                return Trouble(**dict(row))
            self._db.execute("UPDATE troubles SET skip = skip - 1 WHERE seq = ?", (row["seq"],))
        return None

    def put_back(self, trouble: Trouble) -> None:
        """Return a trouble that could not affect its call: the next fitting call meets it first."""
        values = asdict(trouble) | {"skip": 0}
        self._db.execute(
            f"INSERT INTO troubles ({', '.join(values)}) VALUES ({', '.join('?' * len(values))}) "  # noqa: S608
            "ON CONFLICT (seq) DO UPDATE SET remaining = excluded.remaining",
            tuple(values.values()),
        )

    def meet(self, session: Session, deed: Deed) -> dict[AtDeed, float]:
        """All troubles that this deed of the buyer meets, used up, with the seconds of each."""
        met: dict[AtDeed, float] = {}
        rows = self._db.execute(
            "SELECT seq, trouble, seconds FROM troubles WHERE provider = ? AND reference = ? AND kind = 'shopper' "
            "ORDER BY seq",
            (session.provider, session.reference),
        ).fetchall()
        for row in rows:
            name: AtDeed = row["trouble"]
            too_early = name == "paid_after_expiry" and session.status != "expired"
            if not too_early and name not in met and (deed == "pay" or name in _BY_ANY_DEED):
                self._use(row["seq"])
                met[name] = row["seconds"] or 0.0
        return met

    def all(self) -> list[Trouble]:
        self._end_those_over()
        return [Trouble(**dict(row)) for row in self._db.execute("SELECT * FROM troubles ORDER BY seq")]

    def about(self, provider: str, reference: str) -> list[Trouble]:
        """The troubles set for exactly this reference, oldest first."""
        self._end_those_over()
        rows = self._db.execute(
            "SELECT * FROM troubles WHERE provider = ? AND reference = ? ORDER BY seq", (provider, reference)
        )
        return [Trouble(**dict(row)) for row in rows]

    def clear(self, provider: str | None, reference: str | None) -> int:
        """End those of a gateway or a reference; None ends all. Returns how many ended."""
        return self._db.execute(
            "DELETE FROM troubles WHERE provider = coalesce(?, provider) AND reference IS coalesce(?, reference)",
            (provider, reference),
        ).rowcount

    def _use(self, seq: int) -> None:
        self._db.execute("UPDATE troubles SET remaining = remaining - 1 WHERE seq = ?", (seq,))
        self._db.execute("DELETE FROM troubles WHERE remaining <= 0")

    def _end_those_over(self) -> None:
        self._db.execute("DELETE FROM troubles WHERE until <= ?", (time.time(),))
