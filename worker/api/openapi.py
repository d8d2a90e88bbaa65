"""`/openapi.json`, built from the shapes by which requests are read and answers are written.

A path that is added to `api.routes` has to be added here; a test compares the two.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from schemas.contract import components
from schemas.requests import EVENTS_QUERY, NEW_PAYMENT, RESOLUTION, TRACKED_PAYMENT, Shape
from schemas.responses import EventPage, PaymentPage, ProblemDetails, Timeline
from schemas.shown import EVENT_SCHEMA, PAYMENT_ID, PAYMENT_SCHEMA, PaymentEvent, PaymentView, TrialEvent
from worker.api.openapi_webhooks import event_schemas, webhooks
from worker.api.read import LIST_QUERY
from worker.api.request_samples import answer_sample, body_sample

_REF = "#/components/schemas/{name}"
_BODIES = (NEW_PAYMENT, TRACKED_PAYMENT, RESOLUTION)
_ANSWERS = (PaymentView, PaymentPage, Timeline, EventPage, ProblemDetails, PaymentEvent, TrialEvent)
_JSON = "application/json"
_PAYMENT_ID = {"type": "string", "pattern": f"^{PAYMENT_ID}$"}
_KEY = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[!-~]([ -~]*[!-~])?$"}
JSON_SCHEMA = "application/schema+json"
_EVERYWHERE = {
    401: "No API key, or one nobody has.",
    415: "A body with a Content-Encoding.",
    500: "Our fault; it is logged.",
    503: "The database or the broker is away; come again after Retry-After.",
}
_OF_A_BODY = {
    400: "The body is no sound JSON.",
    408: "The body did not arrive in time.",
    413: "The body is larger than 64 KiB.",
    422: "A field is missing, wrong or unknown; `field` names it.",
}
_OF_A_PAYMENT = {404: "You have no such payment."}


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path. `problems` are those beside the ones of every path; `media` is the answer's type.

    `once`: it takes an Idempotency-Key. `keyed`: it needs an API key.
    """

    method: str
    path: str
    name: str
    summary: str
    status: int = 200
    answer: type[Struct] | None = None
    media: str = _JSON
    body: Shape | None = None
    query: Shape = Shape(())
    problems: dict[int, str] = {}
    keyed: bool = True
    once: bool = False


OPERATIONS = (
    Operation(
        method="post",
        path="/v1/payments",
        name="openPayment",
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
        summary="Take on a payment that you opened yourself; what its gateway told of it within a week before is heard",
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
        summary="List payments, newest first; filters are ANDed",
        answer=PaymentPage,
        query=LIST_QUERY,
        problems={422: "A parameter is unknown, repeated or wrong; `field` names it."},
    ),
    Operation(
        method="get",
        path="/v1/payments/{payment_id}",
        name="getPayment",
        summary="Get one payment",
        answer=PaymentView,
        problems=_OF_A_PAYMENT,
    ),
    Operation(
        method="get",
        path="/v1/payments/{payment_id}/timeline",
        name="getTimeline",
        summary="What was claimed, asked, answered, decided and told, in order of recording",
        answer=Timeline,
        problems=_OF_A_PAYMENT,
    ),
    Operation(
        method="post",
        path="/v1/payments/{payment_id}/verify",
        name="verifyPayment",
        summary="Ask the gateway at once",
        status=202,
        answer=PaymentView,
        problems=_OF_A_PAYMENT | {409: "The payment's account is no longer configured."},
    ),
    Operation(
        method="post",
        path="/v1/payments/{payment_id}/resolve",
        name="resolvePayment",
        summary="Decide on a held payment, as a person",
        answer=PaymentView,
        body=RESOLUTION,
        problems=_OF_A_PAYMENT
        | _OF_A_BODY
        | {409: "`not_held`, `lower_status`, `version_conflict`, `transaction_used` or `account_not_configured`."},
    ),
    Operation(
        method="get",
        path="/v1/events",
        name="listEvents",
        summary="Your own events, oldest first",
        answer=EventPage,
        query=EVENTS_QUERY,
        problems={410: "The cursor is older than what is kept.", 422: "A parameter is unknown, repeated or wrong."},
    ),
    Operation(method="get", path="/openapi.json", name="getOpenapi", summary="This document", keyed=False),
    Operation(
        method="get",
        path="/asyncapi.json",
        name="getAsyncapi",
        summary="The AsyncAPI document of what goes over RabbitMQ",
        keyed=False,
    ),
    Operation(
        method="get",
        path=PAYMENT_SCHEMA,
        name="getPaymentSchema",
        summary="The JSON Schema of the payment, in the API and in events",
        media=JSON_SCHEMA,
        keyed=False,
    ),
    Operation(
        method="get",
        path=EVENT_SCHEMA,
        name="getEventSchema",
        summary="The JSON Schema of an event, the payment within",
        media=JSON_SCHEMA,
        keyed=False,
    ),
)


def openapi_document(public_url: str, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the API at this address, or without `public_url` of the address it is read from."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation, public_url)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Payproof",
            "version": version,
            "description": "A browser redirect is a hint. Payproof turns it into proof.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url or "/"}],
        "security": [{"apiKey": []}],
        "paths": paths,
        "webhooks": webhooks(public_url, _place),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer"}},
        },
    }


def _place(name: str) -> str:
    return _REF.format(name=name)


def _schemas() -> dict[str, Any]:
    """Every body, answer and event by its name. No two names differ in case alone: they become files and classes."""
    found = components(_ANSWERS, _REF) | event_schemas(_place)
    for shape in _BODIES:
        found |= shape.schemas(_place)
    return dict(sorted(found.items()))


def _described(operation: Operation, public_url: str) -> dict[str, Any]:
    problems = (_EVERYWHERE if operation.keyed else {}) | operation.problems
    made: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {str(operation.status): _answer(operation, public_url)}
        | {str(status): _problem(status, problems[status]) for status in sorted(problems)},
    }
    if parameters := _parameters(operation):
        made["parameters"] = parameters
    if operation.body is not None:
        made["requestBody"] = {
            "required": True,
            "content": {
                _JSON: {"schema": {"$ref": _place(operation.body.name)}, "example": body_sample(operation.name)}
            },
        }
    return made if operation.keyed else made | {"security": []}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    made = []
    if "{payment_id}" in operation.path:
        made.append({"name": "payment_id", "in": "path", "required": True, "schema": _PAYMENT_ID})
    if operation.once:
        about = "For 24 hours the same request gets the same answer again; another body is refused."
        made.append({"name": "Idempotency-Key", "in": "header", "description": about, "schema": _KEY})
    made += [{"name": one.name, "in": "query", "schema": one.kind.schema()} for one in operation.query.fields]
    return made


def _answer(operation: Operation, public_url: str) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"type": "object"}}
    if operation.answer is not None:
        content = {"schema": {"$ref": _place(operation.answer.__name__)}}
    content["example"] = answer_sample(operation.name, public_url)
    made: dict[str, Any] = {"description": operation.summary, "content": {operation.media: content}}
    if operation.once:
        replayed = {"description": "The answer was given before", "schema": {"type": "string", "const": "true"}}
        made["headers"] = {"Idempotent-Replayed": replayed}
    return made


def _problem(status: int, about: str) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name=ProblemDetails.__name__)}
    made: dict[str, Any] = {"description": about, "content": {"application/problem+json": {"schema": schema}}}
    if status == 503:
        made["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "string"}}}
    return made
