"""The messages of browsers and gateways about a payment, byte for byte, and the claims that our ingress makes of them.

Only an acknowledged callback binds us. The simulation's ingress uses the real reading and the real signature check,
without the sockets.
"""

from __future__ import annotations

import hmac
import json
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from random import Random

from msgspec.structs import replace

from consumers.account import Account
from consumers.ports.gateway import CertificateWanted, Forged
from schemas.callbacks import Callback, Claim
from schemas.wire import Unreadable
from schemas.words import Said, Source, Status
from tests.sns import certificate, key, message
from tests.unit.simulation.accounts import KEY, SKEWS, WEBHOOK_SECRET
from tests.unit.simulation.dressing import EMPTY, FORMS, JSON, dressed, form
from tests.unit.simulation.truth import Truth
from worker.ingress.read_callback import ForgedError, make_claim

SAID = {Said.SUCCESS: "success", Said.FAILURE: "failure", Said.CANCEL: "cancel"}
SESSION_NAMES = {
    "shadhinpay": "paymentId",
    "ipay": "orderId",
    "payparse": "payment_id",
    "onepaybd": "paymentID",
    "bkash": "paymentID",
    "shurjopay": "order_id",
    "uddoktapay": "invoice_id",
}
"""The gateways whose messages name the checkout by an id that they issued, and that id's name."""
SAYS_ANYWHERE = ("onepaybd", "bkash", "moneybag", "sslcommerz", "eps", "generic")
"""The gateways whose redirects state the outcome in their own fields."""
PANEL = ("shurjopay", "aamarpay")
"""The gateways that notify an address of the account, which is set in a panel and names no payment."""
FRESH = timedelta(minutes=5)
BODIES = ("plain", "plain", "plain", "mark", *EMPTY)


def word_of_return(account: Account, said: Said | None, *, own: bool) -> Said | None:
    """The outcome that a buyer's return states: by its own fields, or by the path that we gave the gateway."""
    match account.provider.name:
        case name if name in SAYS_ANYWHERE:
            return said
        case "shadhinpay":
            return None
        case "shurjopay":  # one address for every outcome but the buyer's own cancelling
            return said if own and said is Said.CANCEL else None
        case "aamarpay":
            return said if own or said is not Said.CANCEL else None
        case _:
            return said if own else None


def candidate_in(account: Account, truth: Truth, said: Said | None, transaction: str | None) -> str | None:
    """The id in a message by which its gateway is asked, where only a message can bring that."""
    match account.provider.name:
        case "moneybag":
            return transaction
        case "uddoktapay":  # nothing comes with the buyer who cancels
            return truth.session_id if said not in (Said.CANCEL, Said.FAILURE) else None
        case _:
            return None


def signs_fresh(account: Account) -> bool:
    """Whether the gateway's clock is near enough for its signatures to count."""
    return account.provider.capabilities.signs and abs(SKEWS.get(account.id, timedelta(0))) < FRESH


def heard(account: Account, callback: Callback) -> Claim | None:
    """The claim that is durable before the 2xx; None where the answer was 400 or 401."""
    try:
        proof = account.provider.authenticate(callback)
        if isinstance(proof, CertificateWanted):
            proof = proof.check(_pem())
        if isinstance(proof, Forged | CertificateWanted):
            return None
        claim = make_claim(account, callback, proof, lenient=callback.source is Source.RETURN)
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
        case "onepaybd" | "bkash":
            query = {"paymentID": truth.session_id or "", "status": word, "signature": "zMQ5cPs4Yi"}
        case "moneybag":
            upper = word.upper().replace("FAILURE", "FAILED")
            query = {"transaction_id": transaction or "", "status": upper, "order_id": truth.reference}
        case "sslcommerz":
            status = {Said.SUCCESS: "VALID", Said.FAILURE: "FAILED", Said.CANCEL: "CANCELLED"}.get(said) if said else ""
            query = {"tran_id": truth.reference, "status": status or "", "bank_tran_id": transaction or ""}
        case "aamarpay" if said is not Said.CANCEL:  # which brings nothing
            paid = said is Said.SUCCESS
            query = {"mer_txnid": truth.reference, "pg_txnid": transaction or "", "opt_a": "another-order"}
            query |= {"pay_status": "Successful" if paid else "Failed", "status_code": "2" if paid else "7"}
        case "eps":
            status = {Said.SUCCESS: "Success", Said.FAILURE: "Failed", Said.CANCEL: "Cancel"}.get(said) if said else ""
            named = "EPSTransactionId" if said is Said.SUCCESS else "EPSTransactionId_"
            query = {"Status": status or "", "MerchantTransactionId": truth.reference, named: transaction or ""}
        case "generic":
            words = {Said.SUCCESS: "Successful", Said.FAILURE: "Failed", Said.CANCEL: "Canceled"}
            query = {"status": words[said] if said else "", "invoice_number": truth.reference}
            query |= {"trx_id": transaction or ""}
        case "uddoktapay":
            query = {"invoice_id": candidate_in(account, truth, said, transaction) or ""}
        case _ if name in SESSION_NAMES and (name == "shurjopay" or not own):
            query = {SESSION_NAMES[name]: truth.session_id or ""}
    query = {key: value for key, value in query.items() if value}
    posts = {"sslcommerz": 1.0, "aamarpay": 1.0, "uddoktapay": 0.5, "moneybag": 0.3}
    posted = draw.random() < posts.get(name, 0.0)
    body, label = form(query, draw.choice(FORMS)) if posted else (b"", "")
    if name in ("onepaybd", "bkash") and draw.random() < 0.2:
        body, label = b"\xff<no form at all>", "text/xml"  # the query holds all the fields
    one_address = name in ("shadhinpay", "onepaybd", "bkash", "generic")
    word_in_path = word_of_return(account, said, own=own) if own and not one_address else None
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
    if account.provider.name == "bkash":
        return _sns(account, truth, at, transaction)
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


def _sns(account: Account, truth: Truth, at: datetime, transaction: str | None) -> Callback:
    """bKash's notification of money that it took, signed by Amazon SNS."""
    told = {
        "trxID": transaction,
        "transactionStatus": "Completed",
        "amount": f"{truth.amount:.2f}",
        "merchantInvoiceNumber": truth.reference,
        "transactionReference": "typed by the payer",
    }
    signed = message(at, MessageId=f"sns-{truth.payment_id[-10:]}-{transaction}", Message=json.dumps(told))
    return Callback(
        source=Source.WEBHOOK,
        account=account.id,
        method="POST",
        query=(),
        headers=(("content-type", "text/plain; charset=UTF-8"),),
        body=json.dumps(signed).encode(),
        received_at=at,
    )


@cache
def _pem() -> bytes:
    return certificate(key())


def notifies(account: Account, status: Status, *, own: bool) -> bool:
    """Whether an unsigned notification of this status can come: to the payment's own address, or to the account's."""
    match account.provider.name:
        case "moneybag":
            return own
        case "sslcommerz":
            return own and status is not Status.PENDING
        case "uddoktapay":
            return own and status is Status.COMPLETED
        case "shurjopay":
            return status is not Status.PENDING
        case "aamarpay":
            return status in (Status.COMPLETED, Status.FAILED)
        case _:
            return False


def notified(account: Account, truth: Truth, at: datetime, status: Status, transaction: str, draw: Random) -> Callback:
    """An unsigned notification about one order, as query, form or JSON. At UddoktaPay it carries the API key."""
    name, word = account.provider.name, str(status).upper()
    kind, headers = draw.choice(FORMS), list[tuple[str, str]]()
    match name:
        case "sslcommerz":
            word = "VALID" if status is Status.COMPLETED else word
            fields = {"tran_id": truth.reference, "status": word, "bank_tran_id": transaction, "val_id": "V-1"}
        case "shurjopay":
            fields, kind = {"order_id": truth.session_id or ""}, "query"
        case "aamarpay":
            word = "Successful" if status is Status.COMPLETED else "Failed"
            fields = {"mer_txnid": truth.reference, "pg_txnid": transaction, "pay_status": word}
        case "uddoktapay":
            fields, kind = {"invoice_id": truth.session_id or "", "status": word}, "json"
            headers = [("rt-uddoktapay-api-key", KEY.reveal())]
        case _:
            fields = {"transaction_id": transaction, "order_id": truth.reference, "status": word}
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
        headers=(*headers, ("content-type", label)) if label else tuple(headers),
        body=body,
        received_at=at,
        payment_id=None if name in PANEL else truth.payment_id,
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
