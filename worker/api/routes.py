"""The merchant API: every path, with its method and its handler. `worker/api/openapi.py` describes them.

These routes need two middlewares, `problems` and then `authenticate(api)`. Without the second no handler under `/v1`
works, because it gives the merchant.
"""

from __future__ import annotations

from aiohttp import web

from schemas.shown import PAYMENT_ID
from worker.api.context import Api
from worker.api.documents import documents
from worker.api.post_payments import OpenPayments
from worker.api.read import PaymentReads
from worker.api.verify import Asking

PAYMENT = f"/v1/payments/{{payment_id:{PAYMENT_ID}}}"
"""A path with any other id is unknown, so `track` is no payment."""


def routes(api: Api) -> list[web.RouteDef]:
    openings, asking, reading = OpenPayments(api), Asking(api), PaymentReads(api)
    return [
        web.post("/v1/payments", openings.open),
        web.post("/v1/payments/track", openings.track),
        web.get("/v1/payments", reading.payments),
        web.get(PAYMENT, reading.payment),
        web.get(f"{PAYMENT}/timeline", reading.timeline),
        web.post(f"{PAYMENT}/verify", asking.verify),
        web.post(f"{PAYMENT}/resolve", asking.resolve),
        web.get("/v1/events", reading.events),
        *documents(api.rules.public_url),
    ]
