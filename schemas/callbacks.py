"""HTTP requests of gateways and browsers as received (Callback), and the Claims that are made of them.

A Claim has no status and no amount, because anyone may send one. It says only which payment to look at.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from schemas.own_json import NotOurs, read_own
from schemas.shown import is_traceparent
from schemas.words import Authenticity, Said, Source

_Text = Annotated[str, Meta(pattern=r"^[^\x00]*\Z")]
_Id = Annotated[_Text, Meta(max_length=200)]
"""What a column and its index take. No release has read or made a longer id."""


class Omission(StrEnum):
    """Why only a digest of a callback is stored. The first four are budgets, `archive` is its bound.

    `unknown`: it was unsigned and named no payment that was here.
    """

    PAYMENT = "payment"
    SIGNED = "signed"
    ADDRESS = "address"
    INSTALLATION = "installation"
    ARCHIVE = "archive"
    UNKNOWN = "unknown"


class Omitted(Struct, frozen=True, kw_only=True):
    """Stands for the body of a callback, for most of its headers, and for a query that was long."""

    because: Omission
    body_bytes: int
    body_sha256: str
    query_characters: int

    def __str__(self) -> str:
        return f"digest only, because {_BECAUSE[self.because]}"


_BECAUSE = {
    Omission.PAYMENT: "the unsigned callbacks about its payment had used up their bytes of that hour",
    Omission.SIGNED: "the signed callbacks about its payment had used up their bytes of that hour",
    Omission.ADDRESS: "its sender's address had used up its bytes of that hour",
    Omission.INSTALLATION: "all unsigned callbacks together had used up their bytes of that day",
    Omission.ARCHIVE: "the archive had reached [archive] max_size",
    Omission.UNKNOWN: "it was unsigned, and no payment was here with its ids",
}


class Callback(Struct, frozen=True, kw_only=True):
    """One HTTP request to `/return`, `/webhooks` or `/ipn`, byte for byte. Header names are in lower case.

    With `omitted`, only a digest of it is here.
    """

    source: Source
    account: str
    method: str
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    body: bytes
    received_at: datetime
    payment_id: str | None = None
    said: Said | None = None
    omitted: Omitted | None = None

    def header(self, name: str) -> str | None:
        """The header's value by its lower-case name; None if it is absent, or sent twice with different values."""
        values = {value for key, value in self.headers if key == name}
        return values.pop() if len(values) == 1 else None

    def __repr__(self) -> str:
        return f"Callback({self.source} {self.account}, {len(self.body)} bytes)"


class CallbackContent(Struct, frozen=True, kw_only=True):
    """The content of a Callback, as a gateway's file reads it: ids to look up by, and the claimed outcome, if any."""

    said: Said | None = None
    session_id: str | None = None
    reference: str | None = None
    transaction_id: str | None = None
    event_id: str | None = None
    event_type: str | None = None


class Claim(Struct, frozen=True, kw_only=True):
    """Which payment to look at, who said so, and whether that was signed. Queue and spool dedupe by `id`.

    `payment_id`: a payment of ours, from the path or set by us. Ids from the callback stand in the other fields.
    `kept`: an early claim, kept for its payment without its callback. `traceparent`: our own trace of it, never a
    sender's.
    """

    id: _Id
    account: str
    provider: str
    source: Source
    authenticity: Authenticity
    received_at: Annotated[datetime, Meta(tz=True)]
    payment_id: str | None = None
    said: Said | None = None
    session_id: _Id | None = None
    reference: _Id | None = None
    transaction_id: _Id | None = None
    event_id: _Id | None = None
    event_type: _Id | None = None
    note: _Text | None = None
    callback: Callback | None = None
    traceparent: str | None = None
    kept: bool = False

    def __repr__(self) -> str:
        return f"Claim({self.id} {self.source} {self.account} {self.payment_id})"


def read_claim(body: bytes) -> Claim:
    """Read the claim that was published as `body`. Raises NotOurs, also for a claim that no table takes.

    A malformed `traceparent` is left out, since the payment's events would show it.
    """
    claim = read_own(body, Claim)
    try:
        received_at = claim.received_at.astimezone(UTC)
    except OverflowError as error:
        raise NotOurs(error) from error
    traced = claim.traceparent is not None and is_traceparent(claim.traceparent)
    return replace(claim, received_at=received_at, traceparent=claim.traceparent if traced else None)
