"""How bKash writes its answers: its words for a payment, its status codes, and the fields that its answers share.

`0000` says that the call succeeded. Only `transactionStatus` says that the payment is paid.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from worker.playground.sandbox.gateway_call import Call, GatewayReply
from worker.playground.sandbox.sessions import Session

BUYER = "01770618575"
WORDS = {
    "open": "Initiated",
    "approved": "Initiated",
    "paid": "Completed",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "expired": "Expired",
    "refunded": "Completed",
}
CODES = {
    "2001": "Invalid App Key",
    "2002": "Invalid Payment ID",
    "2006": "Invalid amount",
    "2007": "Invalid currency",
    "2008": "Invalid intent",
    "2025": "Invalid request body",
    "2026": "The reversal amount cannot be larger than the original transaction amount",
    "2028": "The transaction cannot be reversed because it does not exist",
    "2029": "Duplicate for all transactions",
    "2031": "Invalid merchant invoice number",
    "2033": "Transaction not found",
    "2034": "The transaction has already been reversed",
    "2048": "Invalid Payer Reference",
    "2049": "Invalid Merchant Callback URL",
    "2056": "Invalid Payment State",
    "2062": "The payment has already been completed",
    "2063": "Invalid Mode",
    "2065": "Mandatory field missing",
    "2069": "The transaction has already been cancelled",
}


def session_body(session: Session) -> dict[str, Any]:
    """The fields that Execute and the query have in common."""
    answer = {
        "statusCode": "0000",
        "statusMessage": "Successful",
        "paymentID": session.session_id,
        "payerReference": session.body["payerReference"],
        "transactionStatus": WORDS[session.status],
        "currency": session.told_currency,
        "intent": session.body["intent"],
    }
    return answer | ({"trxID": session.transaction_id} if session.transaction_id else {})


def verification(session: Session) -> dict[str, str]:
    """Whether the buyer proved to own the wallet, under both names that clients of bKash read."""
    word = "Incomplete" if session.status == "open" else "Complete"
    return {"verificationStatus": word, "userVerificationStatus": word}


def short_amount(amount: str) -> str:
    """`50.00` is `50` in Execute's answer, and `50.50` is `50.5`."""
    return f"{Decimal(amount).normalize():f}"


def coded(code: str) -> GatewayReply:
    """The first of bKash's envelopes: HTTP 200 with a status code that is not 0000."""
    return GatewayReply(body={"statusCode": code, "statusMessage": CODES[code]})


def about_invoice(call: Call) -> str | None:
    """The invoice that a create call names, for `GatewayEndpoint.about`."""
    return call.named("merchantInvoiceNumber")
