"""Sending the buyer back to the shop, with what was verified and a signature over it.

The one thing to get wrong: the signature says what was verified once. It is no licence to ship.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from urllib.parse import unquote_plus, urlencode, urlsplit, urlunsplit

from schemas.payments import Glance
from schemas.words import Said, Status
from worker.config import Merchant


def outcome_known(payment: Glance) -> bool:
    """Whether there is something to tell the buyer: an end, or a hold."""
    return payment.hold is not None or payment.status is not Status.PENDING


def shop_url(payment: Glance, merchant: Merchant, said: Said | None = None) -> str | None:
    """Where the buyer goes now; None where the shop gave no URL. `said` chooses only while nothing is verified."""
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
    # The shop's own parameters stay byte for byte as it wrote them.
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
