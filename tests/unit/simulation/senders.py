"""The messages of browsers and gateways about a payment, byte for byte, and the claims that our ingress makes of them.

Only an acknowledged callback binds us. The simulation's ingress uses the real reading and the real signature check,
without the sockets.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from hashlib import sha256
from random import Random

from msgspec.structs import replace

from consumers.account import Account
from schemas.callbacks import Callback, Claim
from schemas.wire import Unreadable
from schemas.words import Said, Source, Status
from tests.unit.simulation.accounts import SKEWS, WEBHOOK_SECRET
from tests.unit.simulation.dressing import EMPTY, FORMS, JSON, dressed, form
from tests.unit.simulation.truth import Truth
from worker.ingress.read_callback import ForgedError, make_claim

SAID = {Said.SUCCESS: "success", Said.FAILURE: "failure", Said.CANCEL: "cancel"}
SESSION_NAMES = {"shadhinpay": "paymentId", "ipay": "orderId", "payparse": "payment_id", "onepaybd": "paymentID"}
FRESH = timedelta(minutes=5)
BODIES = ("plain", "plain", "plain", "mark", *EMPTY)


def names_a_word(account: Account, *, own: bool) -> bool:
    """Whether a buyer's return states the outcome: by its own query, or by the path that we gave the gateway."""
    name = account.provider.name
    return name in ("onepaybd", "moneybag") or (own and name != "shadhinpay")


def signs_fresh(account: Account) -> bool:
    """Whether the gateway's clock is near enough for its signatures to count."""
    return account.provider.capabilities.signs and abs(SKEWS.get(account.id, timedelta(0))) < FRESH


def heard(account: Account, callback: Callback) -> Claim | None:
    """The claim that is durable before the 2xx; None where the answer was 400 or 401."""
    try:
        claim = make_claim(account, callback, lenient=callback.source is Source.RETURN)
    except (ForgedError, Unreadable):
        return None
    return replace(claim, callback=None)


def returns(
    account: Account, truth: Truth, at: datetime, said: Said | None, transaction: str | None, draw: Random, *, own: bool
) -> Callback:
    """The buyer's browser comes back.

    `own`: on the payment's own path; else on the account's, as tracked payments do.
    """
    name = account.provider.name
    word = SAID.get(said, "") if said is not None else ""
    query: dict[str, str] = {}
    match name:
        case "onepaybd":
            query = {"paymentID": truth.session_id or "", "status": word, "signature": "zMQ5cPs4Yi"}
        case "moneybag":
            upper = word.upper().replace("FAILURE", "FAILED")
            query = {"transaction_id": transaction or "", "status": upper, "order_id": truth.reference}
        case "sslcommerz":
            status = {Said.SUCCESS: "VALID", Said.FAILURE: "FAILED", Said.CANCEL: "CANCELLED"}.get(said) if said else ""
            query = {"tran_id": truth.reference, "status": status or "", "bank_tran_id": transaction or ""}
        case _ if not own:
            query = {SESSION_NAMES[name]: truth.session_id or ""}
    query = {key: value for key, value in query.items() if value}
    posted = name == "sslcommerz" or (name == "moneybag" and draw.random() < 0.3)
    body, label = form(query, draw.choice(FORMS)) if posted else (b"", "")
    if name == "onepaybd" and draw.random() < 0.2:
        body, label = b"\xff<no form at all>", "text/xml"  # the query holds all the fields
    word_in_path = said if name in ("ipay", "payparse", "moneybag", "sslcommerz") and own else None
    return Callback(
        source=Source.RETURN,
        account=account.id,
        method="POST" if body else "GET",
        query=() if posted else tuple(query.items()),
        headers=(("content-type", label),) if label else (),
        body=body,
        received_at=at,
        payment_id=truth.payment_id if own else None,
        said=word_in_path,
    )


def webhook(
    account: Account, truth: Truth, at: datetime, status: Status, transaction: str | None, draw: Random
) -> Callback:
    """A signed notification, its timestamp by the gateway's own clock."""
    stamp = str(int((at + SKEWS.get(account.id, timedelta(0))).timestamp()))
    event = f"evt-{truth.payment_id[-10:]}-{status}-{transaction}"
    if account.provider.name == "moneybag":
        kind = {Status.COMPLETED: "payment.success", Status.FAILED: "payment.failed"}.get(status, f"payment.{status}")
        data = {"transaction_id": transaction, "order_id": truth.reference, "status": str(status).upper()}
        body = dressed({"event_type": kind, "data": data}, draw.choice(BODIES))
        digest = hmac.new(WEBHOOK_SECRET.encode(), stamp.encode() + b"." + body, sha256).hexdigest()
        headers = {
            "x-webhook-signature": f"sha256={digest}",
            "x-webhook-timestamp": stamp,
            "x-webhook-event-id": event,
            "x-webhook-event-type": kind,
        }
    else:
        payload = {"paymentId": truth.session_id, "merchantTxnId": truth.reference, "status": str(status).upper()}
        event_body = {"eventId": event, "eventType": f"payment.{status}", "payload": payload}
        body = dressed(event_body, draw.choice(BODIES))
        digest = hmac.new(WEBHOOK_SECRET.encode(), f"t={stamp}.".encode() + body, sha256).hexdigest()
        headers = {"x-shadhinpay-signature": f"t={stamp},v1={digest}"}
    return Callback(
        source=Source.WEBHOOK,
        account=account.id,
        method="POST",
        query=(),
        headers=(("content-type", draw.choice([JSON, "text/plain"])), *headers.items()),
        body=body,
        received_at=at,
    )


def notified(account: Account, truth: Truth, at: datetime, status: Status, transaction: str, draw: Random) -> Callback:
    """Moneybag's unsigned notification about one order, as query, form or JSON."""
    fields = {"transaction_id": transaction, "order_id": truth.reference, "status": str(status).upper()}
    kind = draw.choice(["query", "json", *FORMS])
    query: tuple[tuple[str, str], ...] = ()
    body, label = b"", ""
    if kind == "query":
        query = tuple(fields.items())
    elif kind == "json":
        body, label = dressed(fields, draw.choice(BODIES)), draw.choice([JSON, "text/html"])
    else:
        body, label = form(fields, kind)
    return Callback(
        source=Source.IPN,
        account=account.id,
        method="POST",
        query=query,
        headers=(("content-type", label),) if label else (),
        body=body,
        received_at=at,
        payment_id=truth.payment_id,
    )


def invented(
    account: Account,
    at: datetime,
    query: dict[str, str],
    *,
    payment_id: str | None,
    said: Said | None,
    body: bytes = b"",
) -> Callback:
    """A callback that any stranger can send by hand."""
    return Callback(
        source=Source.RETURN,
        account=account.id,
        method="POST" if body else "GET",
        query=tuple(query.items()),
        headers=(),
        body=body,
        received_at=at,
        payment_id=payment_id,
        said=said,
    )


def replayed(callback: Callback, at: datetime, query: dict[str, str]) -> Callback:
    """A signed body that a stranger saw, sent again with another query; its signature may still be fresh."""
    return replace(callback, received_at=at, query=tuple(query.items()))
