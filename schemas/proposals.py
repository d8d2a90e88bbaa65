"""A proposal: the resolution of a payment that one person asks for and a second person decides about."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from schemas.words import Status

Via = Literal["api", "command", "console", "worker"]


class ProposalState(StrEnum):
    """Where a proposal stands. It leaves `open` and `approved` once, and every other state never.

    - `open`: proposed, and nobody has decided. Left by an approver, by its proposer, or because the payment changed.
    - `approved`: a second person agreed. A consumer applies it within seconds. If the process dies, the next one does.
    - `applied`: the payment is resolved, in the same transaction.
    - `refused`: approved, and the rules of money refuse it by now. `refusal_code` and `refusal` say why.
    - `rejected`: an approver said no.
    - `withdrawn`: its proposer took it back.
    - `lapsed`: the payment changed, or is no longer held, so nobody can decide about what was proposed.
    """

    OPEN = "open"
    APPROVED = "approved"
    APPLIED = "applied"
    REFUSED = "refused"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"

    @property
    def ended(self) -> bool:
        return self not in (ProposalState.OPEN, ProposalState.APPROVED)


class Origin(Struct, frozen=True, kw_only=True):
    """Who acts, and from where. `key`: the name of the API key that vouches for the actor's name."""

    actor: str
    via: Via
    address: str | None = None
    key: str | None = None


class Person(Struct, frozen=True, kw_only=True):
    """An operator of the console, signed in. Without `merchants`, an operator of all merchants."""

    origin: Origin
    proposes: bool
    approves: bool
    merchants: frozenset[str] | None = None

    @property
    def name(self) -> str:
        return self.origin.actor

    def sees(self, merchant: str) -> bool:
        return self.merchants is None or merchant in self.merchants


class Proposal(Struct, frozen=True, kw_only=True):
    """One row of `proposals`.

    `basis`: a digest of everything that a person decided on, with the `version` of the payment; see
    consumers.commands.two_people. `alone`: the payment is below the limit, so who proposes decides. `evidence` is text;
    a file is kept beside it.
    """

    id: str
    payment_id: str
    merchant: str
    version: int
    basis: str
    status: Status
    transaction_id: str | None = None
    reason: str
    evidence: str | None = None
    proposed_by: str
    proposed_via: Via
    proposed_key: str | None = None
    proposed_from: str | None = None
    proposed_at: datetime
    alone: bool = False
    state: ProposalState = ProposalState.OPEN
    decided_by: str | None = None
    decided_from: str | None = None
    decided_why: str | None = None
    decided_at: datetime | None = None
    ended_at: datetime | None = None
    refusal_code: str | None = None
    refusal: str | None = None
