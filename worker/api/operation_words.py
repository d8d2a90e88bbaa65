"""What `/openapi.json` and `/docs` say about each operation beside its summary: its tag, its answer, and a paragraph.

They are read by people who have not opened the guide, and by those who read a generated client's docstrings.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

TAGS: Mapping[str, str] = {
    "Payments": "Open a checkout, look at a payment, have the gateway asked, and decide on a payment that is held.",
    "Events": "Your own events, oldest first: for a shop that has no webhook endpoint, or that missed some.",
    "Webhooks": "Your webhook endpoints, the events on their way to them, and the requests that they get from us.",
    "Documents": "What describes this API and its events, for programs. They need no API key.",
}


class OperationWords(Struct, frozen=True):
    """`answer` describes the answer where all is well."""

    tag: str
    answer: str
    paragraph: str


WORDS_OF_OPERATIONS: Mapping[str, OperationWords] = {
    "openPayment": OperationWords(
        "Payments",
        "The payment, with the `checkout_url` to send the buyer to.",
        "Opens a checkout at the account's gateway and answers with the payment. Send the buyer to its `checkout_url`, "
        "and keep its `payment_id` beside your order. After a timeout, a 502, 503 or 504, send the same body again "
        "with the same `reference`: nothing is opened twice. A new attempt of the same order gets a new `reference` "
        "and the same `order`. Ship when an event, or `getPayment`, says `completed` with no hold and no high `risk`; "
        "the buyer's return alone is no proof.",
    ),
    "trackPayment": OperationWords(
        "Payments",
        "The payment, which is looked after from now on.",
        "For a shop that opens its checkouts at the gateway by itself. The payment is checked and held like any other, "
        "and has the same events. What the gateway said about it within a week before is heard. `session_id` is the "
        "gateway's id of the checkout.",
    ),
    "listPayments": OperationWords(
        "Payments",
        "A page of payments, and the sums of all that match.",
        "Filters narrow each other down. `summary` adds up every payment that matches, and not the page alone. Ask for "
        "the next page with `cursor` set to `next_cursor`, until that is null.",
    ),
    "getPayment": OperationWords(
        "Payments",
        "The payment.",
        "The payment as it stands now. `status` and `hold` decide together: goods may leave at `completed` with `hold` "
        "null.",
    ),
    "getTimeline": OperationWords(
        "Payments",
        "The entries, in order of recording.",
        "Everything that is known about a payment: each callback and return, each question to the gateway with its "
        "answer, each decision with its reason, each event and each delivery. It is the answer to a buyer who asks "
        "where the money is.",
    ),
    "verifyPayment": OperationWords(
        "Payments",
        "The payment as it stood before the question.",
        "Has the gateway asked as soon as no other question about this payment is on its way, and answers at once with "
        "the payment as it stands. The outcome comes as an event, and `getPayment` shows it. It is not needed for "
        "payments to be found out; use it when a person waits.",
    ),
    "resolvePayment": OperationWords(
        "Payments",
        "The payment as it stands by this decision.",
        "A person's decision about a held payment, with a name and a reason that are kept. It settles every hold, to "
        "the present status or a higher one. Give the `version` that the person looked at, so that newer news is not "
        "passed over. Where the operator asks for a second person, the answer is 202, and the payment stays held until "
        "that person has approved.",
    ),
    "listEvents": OperationWords(
        "Events",
        "The events after the cursor, and the next cursor.",
        "Events in the order of the log, which never changes. Store `next` in the same transaction "
        "as your work, and send it as `after` next time: so no event is lost. An event may be read twice; drop what is "
        "not newer than the `version` that you acted on. Begin without `after`.",
    ),
    "listWebhooks": OperationWords(
        "Webhooks",
        "The endpoints.",
        "The endpoints that the operator entered for you, in the order of the configuration. A `failing` endpoint is "
        "tried again by itself, and a `blocked` one answered 410 and has to be enabled by the operator.",
    ),
    "listDeliveries": OperationWords(
        "Webhooks",
        "A page of deliveries.",
        "Which events an endpoint has taken, which wait, and which were given up, with the endpoint's last answer in "
        "words. `state=waiting` shows what is to come, the next one first.",
    ),
    "resendDelivery": OperationWords(
        "Webhooks",
        "The delivery, which waits for its next attempt.",
        "Sends the same bytes again with the same `webhook-id`, also when they were delivered before. A receiver that "
        "drops what is not newer takes no harm.",
    ),
    "getOpenapi": OperationWords(
        "Documents",
        "The document. The example is its beginning.",
        "OpenAPI 3.1, made when the service starts, with its own address.",
    ),
    "getAsyncapi": OperationWords(
        "Documents",
        "The document. The example is its beginning.",
        "AsyncAPI 3.0: the exchange, the routing keys and the messages for subscribers at RabbitMQ.",
    ),
    "getPaymentSchema": OperationWords(
        "Documents", "The schema. The example is its beginning.", "The `dataschema` of every event. The path stays."
    ),
    "getEventSchema": OperationWords(
        "Documents",
        "The schema. The example is its beginning.",
        "A CloudEvents 1.0 event. It stays open: a later release may add fields, so do not refuse those.",
    ),
}
