"""An example of every problem that an operation answers with, by its code: the examples of `/openapi.json`.

They are made by `Problem`, which makes the real ones, and what is wrong with a request is found by reading it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from consumers.commands.open_payment import OpeningFailed
from consumers.commands.resolve import ResolutionRefused
from schemas.request_shape import Shape, Wrong
from schemas.requests import DELIVERIES_QUERY, EVENTS_QUERY, NEW_PAYMENT, RESOLUTION, TRACKED_PAYMENT
from schemas.wire import read_json
from worker.api.idempotency import HEADER
from worker.api.post_payments import opening_problem
from worker.api.problems import Problem, invalid, no_key, no_such_payment, too_large, too_many_waiting, unavailable
from worker.api.read import LIST_QUERY
from worker.api.request_samples import body_sample
from worker.api.verify import resolution_problem

_PAYMENT_ID = "pay_0123456789abcdefghijklmnop"

NAMES: Mapping[int, str] = {
    400: "BadRequestProblem",
    401: "UnauthorizedProblem",
    403: "ForbiddenProblem",
    404: "NotFoundProblem",
    408: "RequestTimeoutProblem",
    409: "ConflictProblem",
    410: "GoneProblem",
    413: "ContentTooLargeProblem",
    415: "UnsupportedMediaTypeProblem",
    422: "UnprocessableProblem",
    429: "TooManyRequestsProblem",
    500: "InternalProblem",
    502: "BadGatewayProblem",
    503: "UnavailableProblem",
    504: "GatewayTimeoutProblem",
}
"""The schema of the body of each status, so that a generated client has a type for each."""


def problem_schemas(details: dict[str, Any]) -> dict[str, Any]:
    """A schema for the problem of every status, made of the one of all. `code` stays open: a release may add one."""
    fields = details["properties"]
    return {
        name: details | {"title": name, "properties": fields | {"status": fields["status"] | {"enum": [status]}}}
        for status, name in NAMES.items()
    }


def problem_examples(operation: str, status: int) -> dict[str, Any]:
    """The examples of an operation's status by their code, as OpenAPI has them."""
    shown = [msgspec.json.decode(problem.reply().body) for problem in _problems(operation, status)]
    return {one["code"]: {"value": one} for one in shown}


def sent_headers(operation: str, status: int) -> set[str]:
    """The headers that an answer with one of these problems may have, without those of the connection."""
    return {name for one in _problems(operation, status) for name in one.reply().headers} - {"Connection"}


def _problems(operation: str, status: int) -> Sequence[Problem]:
    return _OF_OPERATIONS.get(operation, {}).get(status) or _EVERYWHERE[status]


def _wrong_body(shape: Shape, body: dict[str, Any]) -> Problem:
    wrong: list[Wrong] = []
    shape.read(read_json(msgspec.json.encode(body)), wrong)
    return invalid(wrong)


def _wrong_query(shape: Shape, *pairs: tuple[str, str]) -> Problem:
    wrong: list[Wrong] = []
    shape.read_query(pairs, wrong)
    return invalid(wrong)


def _told(status: int, code: str, detail: str, **more: Any) -> Problem:
    return Problem(status, code, detail, **more)


def _failed(code: str, detail: str, **more: Any) -> Problem:
    return opening_problem(OpeningFailed(code, detail, **more))


def _refused(code: str, detail: str, field: str | None = None) -> Problem:
    return resolution_problem(ResolutionRefused(code, detail, field))


_WRONG_KEYS = _told(429, "too_many_wrong_keys", "too many wrong keys from this address", retry_after=60)
_EVERYWHERE: Mapping[int, Sequence[Problem]] = {
    400: [_told(400, "unreadable_body", "the body is no sound JSON: it ends too early")],
    401: [no_key()],
    403: [_told(403, "scope", "this needs a key that may open; the key warehouse may read, events")],
    404: [no_such_payment()],
    408: [_told(408, "body_too_slow", "the body did not arrive within 30 s")],
    413: [too_large()],
    415: [_told(415, "unsupported_encoding", "send the body as it is, without Content-Encoding")],
    429: [_WRONG_KEYS],
    500: [_told(500, "internal", "this is our fault, and it is logged")],
    503: [unavailable()],
}
_OF_KEYS = [
    _told(
        409,
        "idempotency_conflict",
        "this key was used with another request; keys are for one request each, for 24 hours",
        field=HEADER,
    ),
    _told(409, "idempotency_in_progress", "a request with this key is in progress", field=HEADER, retry_after=1),
]
_USED = [
    _failed("reference_used", "a payment with this reference exists", payment_id=_PAYMENT_ID),
    _failed("opening_in_progress", "this reference is being opened", payment_id=_PAYMENT_ID, retry_after=5),
]
_USED_THERE = "the gateway has this reference already; open a new attempt with a new `reference` and the same `order`"
_NOT_HTTPS = "this gateway must be given https addresses: PAYPROOF_PUBLIC_URL has to begin with https://"
_PROPOSED = "rahima proposed to resolve it as completed (prop_5f2c1e0b9a8d7c6b5a493827), and that is open"
_OTHER_ACCOUNT = _told(409, "account_not_configured", "the account of this payment is no longer configured")
_WRONG = {"amount": 1500.5, "colour": "red"}
_OF_OPERATIONS: Mapping[str, Mapping[int, Sequence[Problem]]] = {
    "openPayment": {
        409: [*_USED, _failed("reference_used_at_gateway", _USED_THERE, payment_id=_PAYMENT_ID), *_OF_KEYS],
        422: [
            _wrong_body(NEW_PAYMENT, body_sample("openPayment") | _WRONG),
            _failed("gateway_refused", "Merchant is not active"),
            _told(422, "callback_url_not_https", _NOT_HTTPS),
        ],
        502: [_failed("gateway_unavailable", "HTTP 503", payment_id=_PAYMENT_ID, retry_after=30)],
        504: [_failed("gateway_timeout", "no reply within 10 s", payment_id=_PAYMENT_ID)],
    },
    "trackPayment": {
        409: [*_USED, _failed("session_used", "another payment has this session_id"), *_OF_KEYS],
        422: [_wrong_body(TRACKED_PAYMENT, body_sample("trackPayment") | _WRONG)],
    },
    "verifyPayment": {409: [_OTHER_ACCOUNT]},
    "resolvePayment": {
        409: [
            _refused("not_held", "only a held payment can be resolved"),
            _refused("lower_status", "the payment is completed already; it never falls", "status"),
            _refused("version_conflict", "the payment is at version 3", "version"),
            _refused("transaction_used", "another payment has this transaction", "transaction_id"),
            _refused("proposal_open", _PROPOSED),
            _refused("proposal_rejected", "karim rejected it (prop_5f2c1e0b9a8d7c6b5a493827)"),
            _OTHER_ACCOUNT,
            *_OF_KEYS,
        ],
        422: [_wrong_body(RESOLUTION, body_sample("resolvePayment") | {"status": "paid"})],
    },
    "listPayments": {422: [_wrong_query(LIST_QUERY, ("status", "paid"), ("limit", "1000"))]},
    "listEvents": {
        410: [_told(410, "cursor_expired", "events after this cursor are gone; begin without `after`", field="after")],
        422: [_wrong_query(EVENTS_QUERY, ("limit", "0"))],
        429: [too_many_waiting(), _WRONG_KEYS],
    },
    "listDeliveries": {422: [_wrong_query(DELIVERIES_QUERY, ("state", "late"))]},
}
