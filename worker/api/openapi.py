"""`/openapi.json`, built from the shapes by which requests are read and answers are written."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from schemas.contract import components, event_schema, payment_schema
from schemas.requests import NEW_PAYMENT, RESOLUTION, TRACKED_PAYMENT
from schemas.responses import (
    DeliveryPage,
    DeliveryView,
    EventPage,
    PaymentPage,
    ProblemDetails,
    ProposalView,
    Timeline,
    WebhookList,
)
from schemas.shown import PaymentEvent, PaymentView, TrialEvent
from worker.api.asyncapi import asyncapi_document
from worker.api.field_words import VARIABLES, with_words, words_of_parameter
from worker.api.idempotency import REPLAYED
from worker.api.openapi_links import links
from worker.api.openapi_webhooks import event_schemas, webhooks
from worker.api.operation_words import TAGS, WORDS_OF_OPERATIONS
from worker.api.operations import JSON, OPERATIONS, PATTERNS, Operation
from worker.api.problem_samples import NAMES, problem_examples, problem_schemas, sent_headers
from worker.api.request_samples import accepted_sample, answer_sample, body_sample

_REF = "#/components/schemas/{name}"
_BODIES = (NEW_PAYMENT, TRACKED_PAYMENT, RESOLUTION)
_ANSWERS = (
    PaymentView,
    PaymentPage,
    Timeline,
    EventPage,
    WebhookList,
    DeliveryPage,
    DeliveryView,
    ProposalView,
    ProblemDetails,
    PaymentEvent,
    TrialEvent,
)
_ABOUT = (
    "A browser redirect is a hint. Payproof turns it into proof. A shop opens a payment, sends the buyer to its "
    "checkout, and acts on an event when the gateway itself, asked by Payproof, has said that the money arrived. "
    "Amounts are decimal text, times are in UTC, and errors are RFC 9457 problems with a `code` to act on. Answers "
    "and events may get further fields in a later release; ignore those that you do not know."
)
_LONG = ("channels", "properties", "$defs")
_KEYS = "Your API key. The operator has it, and decides what it may."
_KEY = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[!-~]([ -~]*[!-~])?$"}
_HEADERS: Mapping[str, dict[str, Any]] = {
    REPLAYED: {
        "description": "The answer was given before to this Idempotency-Key",
        "schema": {"type": "string", "const": "true"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the same request is sent again",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "WWW-Authenticate": {"description": "How to send the key", "schema": {"type": "string", "const": "Bearer"}},
}
_EVERYWHERE = {
    401: "No API key, or one nobody has.",
    403: "The key may not do this; `detail` names what it may.",
    415: "A body with a Content-Encoding.",
    500: "Our fault; it is logged.",
    429: "Too many wrong keys from this address. A right key is never refused so.",
    503: "The database or the broker is away; come again after Retry-After.",
}


def openapi_document(public_url: str, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the API at this address, or without `public_url` of the address it is read from."""
    head = _head(public_url, version)
    beginnings = {
        "getOpenapi": head,
        "getAsyncapi": _beginning(asyncapi_document(public_url, version)),
        "getPaymentSchema": _beginning(payment_schema(public_url)),
        "getEventSchema": _beginning(event_schema(public_url)),
    }
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        example = beginnings.get(operation.name) or answer_sample(operation.name, public_url)
        paths.setdefault(operation.path, {})[operation.method] = _described(operation, example)
    return {
        **head,
        "paths": paths,
        "webhooks": webhooks(public_url, _place),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "description": _KEYS}},
        },
    }


def _head(public_url: str, version: str) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Payproof",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url or "/"}],
        "security": [{"apiKey": []}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
    }


def _beginning(document: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a document before the first that is long."""
    return dict(takewhile(lambda member: member[0] not in _LONG, document.items()))


def _place(name: str) -> str:
    return _REF.format(name=name)


def _schemas() -> dict[str, Any]:
    """Every body, answer and event by its name. No two names differ in case alone: they become files and classes."""
    found = components(_ANSWERS, _REF) | event_schemas(_place)
    found |= problem_schemas(found[ProblemDetails.__name__])
    for shape in _BODIES:
        found |= {name: with_words(name, schema) for name, schema in shape.schemas(_place).items()}
    return dict(sorted(found.items()))


def _described(operation: Operation, example: Any) -> dict[str, Any]:
    problems = (_EVERYWHERE if operation.keyed else {}) | operation.problems
    words = WORDS_OF_OPERATIONS[operation.name]
    needed = [] if operation.scope is None else [f"The key needs the scope `{operation.scope.value}`."]
    made: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [words.tag],
        "summary": operation.summary,
        "description": " ".join([words.paragraph, *needed]),
        "responses": {str(operation.status): _answer(operation, example)}
        | _accepted(operation)
        | {str(status): _problem(operation, status, problems[status]) for status in sorted(problems)},
    }
    if parameters := _parameters(operation):
        made["parameters"] = parameters
    if operation.body is not None:
        made["requestBody"] = {
            "required": True,
            "content": {
                JSON: {"schema": {"$ref": _place(operation.body.name)}, "example": body_sample(operation.name)}
            },
        }
    return made if operation.keyed else made | {"security": []}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    made = []
    for name, pattern in PATTERNS.items():
        if f"{{{name}}}" in operation.path:
            schema = {"type": "string", "pattern": f"^{pattern}$"}
            made.append(
                {"name": name, "in": "path", "required": True, "description": VARIABLES[name], "schema": schema}
            )
    if operation.once:
        about = "For 24 hours the same request gets the same answer again; another body is refused."
        made.append({"name": "Idempotency-Key", "in": "header", "description": about, "schema": _KEY})
    for one in operation.query.fields:
        said = words_of_parameter(operation.name, one.name)
        words = {} if said is None else {"description": said}
        made.append({"name": one.name, "in": "query", **words, "schema": one.kind.schema()})
    return made


def _answer(operation: Operation, example: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"type": "object"}}
    if operation.answer is not None:
        content = {"schema": {"$ref": _place(operation.answer.__name__)}}
    content["example"] = example
    made: dict[str, Any] = {
        "description": WORDS_OF_OPERATIONS[operation.name].answer,
        "content": {operation.media: content},
    }
    made |= _headers({REPLAYED} if operation.once else set())
    if found := links(operation.name):
        made["links"] = found
    return made


def _accepted(operation: Operation) -> dict[str, Any]:
    if operation.accepted is None:
        return {}
    kind, about = operation.accepted
    content = {"schema": {"$ref": _place(kind.__name__)}, "example": accepted_sample()}
    return {"202": {"description": about, "content": {operation.media: content}} | _headers({REPLAYED})}


def _problem(operation: Operation, status: int, about: str) -> dict[str, Any]:
    content = {"schema": {"$ref": _place(NAMES[status])}, "examples": problem_examples(operation.name, status)}
    made: dict[str, Any] = {"description": about, "content": {"application/problem+json": content}}
    replayed = {REPLAYED} if operation.once and status in (409, 422) else set()
    return made | _headers(sent_headers(operation.name, status) | replayed)


def _headers(names: set[str]) -> dict[str, Any]:
    return {"headers": {name: _HEADERS[name] for name in sorted(names)}} if names else {}
