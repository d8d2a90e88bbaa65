"""The operations of the API, as `/openapi.json` describes them.

A path that is added to `api.routes` has to be added here; a test compares the two.
"""

from __future__ import annotations

from msgspec import Struct

from schemas.request_shape import Shape
from schemas.requests import DELIVERIES_QUERY, EVENTS_QUERY, NEW_PAYMENT, RESOLUTION, TRACKED_PAYMENT
from schemas.responses import DeliveryPage, DeliveryView, EventPage, PaymentPage, ProposalView, Timeline, WebhookList
from schemas.shown import EVENT_ID, EVENT_SCHEMA, PAYMENT_ID, PAYMENT_SCHEMA, WEBHOOK_ID, PaymentView
from schemas.words import Scope
from worker.api.read import LIST_QUERY

JSON = "application/json"
JSON_SCHEMA = "application/schema+json"
_OF_A_BODY = {
    400: "The body is no sound JSON.",
    408: "The body did not arrive in time.",
    413: "The body is larger than 64 KiB.",
    422: "A field is missing, wrong or unknown; `field` names it.",
}
PATTERNS = {"payment_id": PAYMENT_ID, "webhook_id": WEBHOOK_ID, "event_id": EVENT_ID}
"""The forms of the variables in paths. A path with any other id is unknown, so `track` is no payment."""
_OF_A_PAYMENT = {404: "You have no such payment."}


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path. `problems` are those beside the ones of every path; `media` is the answer's type.

    `once`: it takes an Idempotency-Key. `scope`: what an API key has to be allowed for it; None: it needs no key.
    `accepted`: the answer of a 202 that is no error, and what it means.
    """

    method: str
    path: str
    name: str
    summary: str
    status: int = 200
    answer: type[Struct] | None = None
    media: str = JSON
    body: Shape | None = None
    query: Shape = Shape(())
    problems: dict[int, str] = {}
    scope: Scope | None
    once: bool = False
    accepted: tuple[type[Struct], str] | None = None

    @property
    def keyed(self) -> bool:
        """Whether it needs an API key."""
        return self.scope is not None


OPERATIONS = (
    Operation(
        method="post",
        path="/v1/payments",
        name="openPayment",
        scope=Scope.OPEN,
        summary="Open a checkout at the account's gateway",
        status=201,
        answer=PaymentView,
        body=NEW_PAYMENT,
        problems=_OF_A_BODY
        | {
            409: "The reference or the Idempotency-Key is used, or a POST with it is in progress.",
            422: "A field is wrong, or the gateway refused (`gateway_refused`, in its words).",
            502: "The gateway's reply was no answer; the next POST of the reference with an equal body opens it again.",
            504: "The gateway did not reply; the next POST of the reference with an equal body opens it again.",
        },
        once=True,
    ),
    Operation(
        method="post",
        path="/v1/payments/track",
        name="trackPayment",
        scope=Scope.OPEN,
        summary="Take on a payment that you opened yourself; what its gateway said of it within a week before is heard",
        status=201,
        answer=PaymentView,
        body=TRACKED_PAYMENT,
        problems=_OF_A_BODY
        | {409: "The reference, the session or the Idempotency-Key is used, or a POST with it is in progress."},
        once=True,
    ),
    Operation(
        method="get",
        path="/v1/payments",
        name="listPayments",
        scope=Scope.READ,
        summary="List payments, newest first; filters are ANDed",
        answer=PaymentPage,
        query=LIST_QUERY,
        problems={422: "A parameter is unknown, repeated or wrong; `field` names it."},
    ),
    Operation(
        method="get",
        path="/v1/payments/{payment_id}",
        name="getPayment",
        scope=Scope.READ,
        summary="Get one payment",
        answer=PaymentView,
        problems=_OF_A_PAYMENT,
    ),
    Operation(
        method="get",
        path="/v1/payments/{payment_id}/timeline",
        name="getTimeline",
        scope=Scope.READ,
        summary="What was claimed, asked, answered, decided, written and delivered, in order of recording",
        answer=Timeline,
        problems=_OF_A_PAYMENT,
    ),
    Operation(
        method="post",
        path="/v1/payments/{payment_id}/verify",
        name="verifyPayment",
        scope=Scope.VERIFY,
        summary="Ask the gateway at once",
        status=202,
        answer=PaymentView,
        problems=_OF_A_PAYMENT | {409: "The payment's account is no longer configured."},
    ),
    Operation(
        method="post",
        path="/v1/payments/{payment_id}/resolve",
        name="resolvePayment",
        scope=Scope.RESOLVE,
        summary="Decide on a held payment, as a person",
        answer=PaymentView,
        body=RESOLUTION,
        accepted=(ProposalView, "It is proposed: a second person has to approve it in the console."),
        problems=_OF_A_PAYMENT
        | _OF_A_BODY
        | {
            409: "`not_held`, `lower_status`, `version_conflict`, `transaction_used`, `proposal_open`, "
            "`proposal_rejected` or `account_not_configured`; or the Idempotency-Key is used, or a POST with it is in "
            "progress."
        },
        once=True,
    ),
    Operation(
        method="get",
        path="/v1/events",
        name="listEvents",
        scope=Scope.EVENTS,
        summary="Your own events, oldest first, after a cursor or `newest`; with `wait` it waits for news",
        answer=EventPage,
        query=EVENTS_QUERY,
        problems={
            410: "The cursor is older than what is kept, or of another log.",
            422: "A parameter is unknown, repeated or wrong.",
            429: "Too many requests wait for events, or too many wrong keys came from this address.",
        },
    ),
    Operation(
        method="get",
        path="/v1/webhooks",
        name="listWebhooks",
        scope=Scope.EVENTS,
        summary="Your webhook endpoints: how each is, and what waits for it",
        answer=WebhookList,
    ),
    Operation(
        method="get",
        path="/v1/webhooks/{webhook_id}/deliveries",
        name="listDeliveries",
        scope=Scope.EVENTS,
        summary="An endpoint's deliveries, newest event first",
        answer=DeliveryPage,
        query=DELIVERIES_QUERY,
        problems={404: "You have no such endpoint.", 422: "A parameter is unknown, repeated or wrong."},
    ),
    Operation(
        method="post",
        path="/v1/webhooks/{webhook_id}/deliveries/{event_id}/resend",
        name="resendDelivery",
        scope=Scope.EVENTS,
        summary="Send an event to an endpoint again, now; nothing is sent to a blocked endpoint until it is enabled",
        status=202,
        answer=DeliveryView,
        problems={404: "You have no such endpoint, or no such event."},
    ),
    Operation(method="get", path="/openapi.json", name="getOpenapi", summary="This document", scope=None),
    Operation(
        method="get",
        path="/asyncapi.json",
        name="getAsyncapi",
        summary="The AsyncAPI document of what goes over RabbitMQ",
        scope=None,
    ),
    Operation(
        method="get",
        path=PAYMENT_SCHEMA,
        name="getPaymentSchema",
        summary="The JSON Schema of the payment, in the API and in events",
        media=JSON_SCHEMA,
        scope=None,
    ),
    Operation(
        method="get",
        path=EVENT_SCHEMA,
        name="getEventSchema",
        summary="The JSON Schema of an event, the payment within",
        media=JSON_SCHEMA,
        scope=None,
    ),
)
