"""Payproof's API, by the standard library."""

import json
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

from django.conf import settings

SECONDS = 60  # an opening may take 40, and waits for its twin before
TOO_MANY, SERVER_ERROR = 429, 500
ASKED = ("reference", "order", "account", "amount", "currency")
READ = (
    *("payment_id", *ASKED, "version", "status", "hold", "risk", "transaction_id", "refunded_amount", "late"),
    *("checkout_url", "expires_at"),
)


class AwayError(Exception):
    """There was no answer that settles it: the same request may be sent again."""


class RefusedError(Exception):
    """It was answered with an error, in Payproof's words."""

    def __init__(self, problem):
        super().__init__(f"{problem.get('code')}: {problem.get('detail')}")
        self.problem = problem


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None  # the key goes nowhere else


def open_payment(request):
    """Open it, or get the payment that the same request opened before."""
    try:
        return _call("POST", "/v1/payments", read_payment, request, {"Idempotency-Key": request["reference"]})
    except RefusedError as refused:
        known = refused.problem.get("payment_id")
        if refused.problem.get("code") != "reference_used" or not isinstance(known, str):
            raise
        payment = _call("GET", f"/v1/payments/{quote(known, safe='')}", read_payment)
        if any(payment[field] != request[field] for field in ASKED):
            raise  # it is another order's
        return payment


def payments_of(order):
    """The payments of an order, oldest first."""
    path = f"/v1/payments?{urlencode({'limit': 100, 'order': order})}"
    return _call("GET", path, lambda page: [read_payment(one) for one in page["payments"]])[::-1]


def payments_since(when):
    """Every payment that was opened since, newest first and not read yet."""
    asked = {"limit": 100, "from": when.isoformat()}
    while True:
        path = f"/v1/payments?{urlencode(asked)}"
        cursor, payments = _call("GET", path, lambda page: (page["next_cursor"], list(page["payments"])))
        yield from payments
        if cursor is None:
            return
        asked["cursor"] = cursor


def read_payment(answer):
    """The fields that the shop knows. Raises KeyError and TypeError."""
    return {field: answer[field] for field in READ}


def _call(method, path, read, body=None, headers=None):
    """What `read` reads in the answer's JSON. Raises AwayError and RefusedError."""
    request = Request(  # noqa: S310 - the operator's own address
        settings.PAYPROOF_URL.rstrip("/") + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {settings.PAYPROOF_API_KEY}", "Content-Type": "application/json"}
        | (headers or {}),
    )
    try:
        with build_opener(_NoRedirect).open(request, timeout=SECONDS) as answer:
            return read(json.load(answer))
    except HTTPError as error:
        try:
            problem = json.load(error)
        except ValueError:
            problem = None
        again = error.code == TOO_MANY or error.code >= SERVER_ERROR or "Retry-After" in error.headers
        if again or not isinstance(problem, dict) or not problem:
            raise AwayError(f"HTTP {error.code}") from error
        raise RefusedError(problem) from error
    except (OSError, HTTPException, ValueError, TypeError, KeyError) as error:
        raise AwayError(repr(error)) from error
