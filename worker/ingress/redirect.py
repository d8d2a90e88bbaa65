"""Sending the buyer back to the shop, with the verified status and a signature over it.

The signature proves the status at that moment only. A shop must not ship on it: a refund or a hold may follow.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from urllib.parse import unquote_plus, urlencode, urlsplit, urlunsplit

from schemas.payments import Glance
from schemas.words import Said, Status
from worker.config import Merchant


def outcome_known(payment: Glance) -> bool:
    """Whether the payment has an outcome to tell the buyer: it is held, or not pending any more."""
    return payment.hold is not None or payment.status is not Status.PENDING


def shop_url(payment: Glance, merchant: Merchant, said: Said | None = None) -> str | None:
    """The shop's URL for the buyer, with the payment's id, reference, status and signature; None without a URL.

    `said` chooses between the shop's URLs only while the payment is pending and not held.
    """
    target = _target(payment, said) or payment.return_url
    if target is None:
        return None
    status = "held" if payment.hold is not None else payment.status.value
    added = {"payment_id": payment.id, "reference": payment.reference, "status": status}
    if merchant.webhooks:
        signed = f"payproof-return.{payment.id}.{payment.reference}.{status}".encode()
        added["signature"] = hmac.new(merchant.webhooks[0].key, signed, sha256).hexdigest()
    parts = urlsplit(target)
    own = {*added, "signature"}
    # The shop's own parameters stay byte for byte as the shop wrote them.
    kept = [part for part in parts.query.split("&") if part and unquote_plus(part.partition("=")[0]) not in own]
    return urlunsplit(parts._replace(query="&".join([*kept, urlencode(added)])))


def _target(payment: Glance, said: Said | None) -> str | None:
    if payment.hold is not None:
        return payment.return_url
    match payment.status:
        case Status.FAILED | Status.EXPIRED:
            return payment.failure_url
        case Status.CANCELLED:
            return payment.cancel_url
        case Status.PENDING if said is Said.FAILURE:
            return payment.failure_url
        case Status.PENDING if said is Said.CANCEL:
            return payment.cancel_url
        case _:
            return payment.return_url
