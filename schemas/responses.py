"""The responses of the API other than the payment itself: pages, timelines, events and problems."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.proposals import Proposal, ProposalState
from schemas.requests import Wrong
from schemas.shown import PaymentEvent, PaymentView, ShownMoney, ShownTime
from schemas.words import EntryKind, Status


class Summary(Struct, frozen=True, kw_only=True):
    """Of all payments that match, not of the page alone. Completed means status `completed` and no hold.

    `capped`: more than the newest 50,000 may match, and the sums are of those alone. `from` and `to` ask for fewer.
    """

    count: int
    completed_count: int
    failed_count: int
    completed_amount: ShownMoney
    capped: bool


class PaymentPage(Struct, frozen=True, kw_only=True):
    """Newest first. `next_cursor` is null on the last page."""

    payments: list[PaymentView]
    next_cursor: str | None
    summary: Summary


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """Further fields depend on the kind."""

    at: ShownTime
    kind: EntryKind


class Timeline(Struct, frozen=True, kw_only=True):
    """In order of recording."""

    entries: list[TimelineEntry]


class EventPage(Struct, frozen=True, kw_only=True):
    """Oldest first. `next` is what to send as `after` next time, also when there is nothing new."""

    events: list[PaymentEvent]
    next: str


class ProposalView(Struct, frozen=True, kw_only=True):
    """A resolution that waits for a second person, who decides in the console. The payment stays held until then.

    `version` is the payment's that it was proposed for. A payment that changes meanwhile needs a new proposal.
    """

    proposal_id: str
    payment_id: str
    state: ProposalState
    version: int
    status: Status
    proposed_by: str
    proposed_at: ShownTime

    @classmethod
    def of(cls, proposal: Proposal) -> ProposalView:
        return cls(
            proposal_id=proposal.id,
            payment_id=proposal.payment_id,
            state=proposal.state,
            version=proposal.version,
            status=proposal.status,
            proposed_by=proposal.proposed_by,
            proposed_at=proposal.proposed_at,
        )


class ProblemDetails(Struct, frozen=True, kw_only=True):
    """RFC 9457. `field` is the first field to blame and `errors` all of them; `payment_id` is the one in the way."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    code: str
    detail: str
    field: str | UnsetType = UNSET
    errors: list[Wrong] | UnsetType = UNSET
    payment_id: str | UnsetType = UNSET
