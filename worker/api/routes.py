"""The merchant API: every path, with its method and its handler. `worker/api/openapi.py` describes them.

These routes need two middlewares, `problems` and then `authenticate(api)`. Without the second no handler under `/v1`
works, because it gives the caller. Each operation names the scope that the caller's key needs for it.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from worker.api.auth import permitted
from worker.api.context import Api
from worker.api.documents import documents
from worker.api.operations import OPERATIONS, PATTERNS, Operation
from worker.api.post_payments import OpenPayments
from worker.api.read import PaymentReads
from worker.api.verify import Asking
from worker.api.webhook_handlers import WebhookHandlers


def routes(api: Api) -> list[web.RouteDef]:
    openings, asking, reading, webhooks = OpenPayments(api), Asking(api), PaymentReads(api), WebhookHandlers(api)
    handlers: dict[str, Handler] = {
        "openPayment": openings.open,
        "trackPayment": openings.track,
        "listPayments": reading.payments,
        "getPayment": reading.payment,
        "getTimeline": reading.timeline,
        "verifyPayment": asking.verify,
        "resolvePayment": asking.resolve,
        "listEvents": reading.events,
        "listWebhooks": webhooks.webhooks,
        "listDeliveries": webhooks.deliveries,
        "resendDelivery": webhooks.send_again,
    }
    keyed = [_route(operation, handlers) for operation in OPERATIONS if operation.scope is not None]
    return [*keyed, *documents(api.rules.public_url)]


def _route(operation: Operation, handlers: dict[str, Handler]) -> web.RouteDef:
    """The operation's handler at its path, for keys with its scope."""
    assert operation.scope is not None, f"{operation.name} is for everyone"
    path = operation.path
    for name, pattern in PATTERNS.items():
        path = path.replace(f"{{{name}}}", f"{{{name}:{pattern}}}")
    make = {"get": web.get, "post": web.post}[operation.method]
    return make(path, permitted(operation.scope, handlers[operation.name]))
