"""How SSLCOMMERZ writes a transaction: its words and fields, the form that browsers and its IPN post, its signature.

`verify_sign` is the recipe that was recomputed from a public payload. How `verify_sign_sha2` is made is not known; here
it is 64 digits that mean nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from worker.playground.sandbox.sessions import Session, Standing, Transaction
from worker.playground.sandbox.times import naive_seconds

WORDS: Mapping[Standing, str] = {
    "open": "PROCESSING",
    "approved": "PROCESSING",
    "paid": "VALID",
    "refunded": "VALID",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
    "expired": "EXPIRED",
}
ERRORS: Mapping[str, str] = {
    "FAILED": "Invalid expiration date or card is declined",
    "CANCELLED": "Cancelled by User",
    "EXPIRED": "Transaction session expired",
}
CARD = {
    "card_type": "BKASH-BKash",
    "card_no": "01770618575",
    "card_issuer": "BKash Mobile Banking",
    "card_brand": "MOBILEBANKING",
    "card_sub_brand": "Classic",
    "card_issuer_country": "Bangladesh",
    "card_issuer_country_code": "BD",
}
NOT_POSTED = ("emi_instalment", "emi_amount", "discount_amount", "discount_percentage", "discount_remarks")
RATE = {"BDT": Decimal(1)}
OTHER_RATE = Decimal("121.5000")
STORE_KEEPS = Decimal("0.975")


def val_id(bank_tran_id: str) -> str:
    """The id that returns and IPNs bring. Made from the transaction's id, and the other way round."""
    return bank_tran_id[:12] + bank_tran_id[12:][::-1].swapcase()


def element(session: Session, made: Transaction | None) -> dict[str, Any]:
    """One attempt as queries tell it; None where the buyer has paid nothing yet. All values are text."""
    status = WORDS[session.status if made is None else made.status]
    if made is not None and made.transaction_id in session.notes.get("validated", ()):
        status = "VALIDATED"
    paid = status.startswith("VALID")
    currency = session.currency if made is None else made.currency
    told = Decimal(session.amount if made is None else made.amount)
    rate = RATE.get(currency, OTHER_RATE)
    risk = session.notes.get("risk", "0")
    return {
        "val_id": val_id(made.transaction_id) if made is not None and paid else "",
        "status": status,
        "validated_on": naive_seconds(made.made_at) if made is not None and paid else "",
        "currency_type": currency,
        "currency_amount": f"{told:.2f}",
        "currency_rate": f"{rate:.4f}",
        "base_fair": "0.00",
        "value_a": str(session.body.get("value_a") or ""),
        "value_b": str(session.body.get("value_b") or ""),
        "value_c": str(session.body.get("value_c") or ""),
        "value_d": str(session.body.get("value_d") or ""),
        "tran_date": naive_seconds(session.created_at if made is None else made.made_at),
        "tran_id": session.reference,
        "amount": f"{told * rate:.2f}",
        "store_amount": f"{told * rate * STORE_KEEPS if paid else 0:.2f}",
        "bank_tran_id": "" if made is None else made.transaction_id,
        **(dict.fromkeys(CARD, "") if made is None else CARD),
        "currency": "BDT",
        "risk_level": risk,
        "risk_title": "Not Safe" if risk == "1" else "Safe",
        "emi_instalment": "0",
        "emi_amount": "0.00",
        "discount_amount": "0.00",
        "discount_percentage": "0.00",
        "discount_remarks": "",
        "error": ERRORS.get(status, ""),
    }


def posted_form(told: Mapping[str, Any], status: str, store_id: str, password: str) -> dict[str, str]:
    """The form of a return or an IPN about this attempt, signed. After a cancel it has no val_id and no bank's id."""
    form = {name: str(value) for name, value in told.items() if name not in (*NOT_POSTED, "validated_on")}
    form |= {"status": status, "error": ERRORS.get(status, ""), "store_id": store_id}
    if status != "VALID":
        del form["val_id"]
    return signed_form(form, password)


def signed_form(form: Mapping[str, str], password: str) -> dict[str, str]:
    """The form with its `verify_*` fields made anew."""
    plain = {name: value for name, value in form.items() if not name.startswith("verify_")}
    key = ",".join(sorted(plain))
    signed = plain | {"store_passwd": hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()}
    text = "&".join(f"{name}={signed[name]}" for name in sorted(signed))
    return plain | {
        "verify_sign": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
        "verify_sign_sha2": hashlib.sha256(f"unknown {key}".encode()).hexdigest(),
        "verify_key": key,
    }
