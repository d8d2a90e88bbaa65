"""Payproof's API, by the standard library."""

import json
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, Request, build_opener

from django.conf import settings

SECONDS = 60  # an opening may take 40, and waits for its twin before
TOO_MANY, SERVER_ERROR = 429, 500


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
        return _call("POST", "/v1/payments", request, {"Idempotency-Key": request["reference"]})
    except RefusedError as refused:
        if refused.problem.get("code") != "reference_used":
            raise
        return _call("GET", f"/v1/payments/{quote(refused.problem['payment_id'], safe='')}")


def payments_of(order):
    """The payments of an order, oldest first."""
    return _call("GET", f"/v1/payments?limit=100&order={quote(order, safe='')}")["payments"][::-1]


def _call(method, path, body=None, headers=None):
    """The answer's JSON. Raises AwayError and RefusedError."""
    request = Request(  # noqa: S310 - the operator's own address
        settings.PAYPROOF_URL.rstrip("/") + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {settings.PAYPROOF_API_KEY}", "Content-Type": "application/json"}
        | (headers or {}),
    )
    try:
        with build_opener(_NoRedirect).open(request, timeout=SECONDS) as answer:
            return json.load(answer)
    except HTTPError as error:
        try:
            problem = json.load(error)
        except ValueError:
            problem = {}
        again = error.code == TOO_MANY or error.code >= SERVER_ERROR or "Retry-After" in error.headers
        if again or not problem:
            raise AwayError(f"HTTP {error.code}") from error
        raise RefusedError(problem) from error
    except (OSError, HTTPException, ValueError) as error:
        raise AwayError(str(error)) from error
