"""The responses of the API other than the payment itself: pages, timelines, events and problems."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.proposals import Proposal, ProposalState
from schemas.request_shape import Wrong
from schemas.shown import EVENT_ID, WEBHOOK_ID, PaymentEvent, PaymentView, ShownId, ShownMoney, ShownTime
from schemas.words import EntryKind, EventType, Status


class Summary(Struct, frozen=True, kw_only=True):
    """Of all payments that match, not of the page alone. Completed means status `completed` and no hold.

    `completed_amount` is of the money that came, where a person accepted another amount than was asked for.
    `capped`: older payments than the newest 50,000 were not looked at, and the sums are of those that match among
    these. `from` and `to` ask for fewer.
    """

    count: int
    completed_count: int
    failed_count: int
    completed_amount: ShownMoney
    capped: bool


class PaymentPage(Struct, frozen=True, kw_only=True):
    """Newest first. `next_cursor` is null on the last page alone.

    Two seconds are spent to find a page's payments. Where few of very many match, it may be short, or empty.
    """

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


class WebhookAnswer(Struct, frozen=True, kw_only=True):
    """The last answer of an endpoint, within some seconds, in words without its body."""

    at: ShownTime
    words: str


class WebhookView(Struct, frozen=True, kw_only=True):
    """An endpoint of yours. `url` is shown without its query. `name` is its id in the configuration, where it has one.

    `new`: nothing was sent to it yet, as no process has seen it. `failing`: its last attempts failed, and from five on
    one delivery at a time tries it. `blocked`: it answered 410, and the operator has to enable it. `waiting` counts the
    events that it has not taken, `oldest_waiting` tells when the oldest of them was written.
    """

    id: Annotated[str, Meta(pattern=f"^{WEBHOOK_ID}$")]
    name: str | None
    url: str
    events: list[EventType]
    state: Literal["new", "delivering", "failing", "blocked"]
    failures: int
    next_try: ShownTime | None
    blocked_since: ShownTime | None
    waiting: int
    oldest_waiting: ShownTime | None
    given_up: int
    last_delivered: ShownTime | None
    last_answer: WebhookAnswer | None


class WebhookList(Struct, frozen=True, kw_only=True):
    """Your endpoints, in the order of the configuration."""

    webhooks: list[WebhookView]


class DeliveryView(Struct, frozen=True, kw_only=True):
    """An event on its way to an endpoint. `next_try` is null unless it waits. `answer` is the last one, in words."""

    event_id: Annotated[str, Meta(pattern=f"^{EVENT_ID}$")]
    payment_id: ShownId
    type: EventType
    time: ShownTime
    state: Literal["waiting", "delivered", "given_up"]
    attempts: int
    next_try: ShownTime | None
    delivered_at: ShownTime | None
    given_up_at: ShownTime | None
    answer: str | None


class DeliveryPage(Struct, frozen=True, kw_only=True):
    """Newest event first; with `state=waiting` the next one first. `next_cursor` is null on the last page.

    A page may have fewer deliveries than `limit`, or none, and still not be the last.
    """

    deliveries: list[DeliveryView]
    next_cursor: str | None


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
