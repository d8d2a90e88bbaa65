"""Payment number n: its ids, amount and claim follow from its number.

An id is random to every index, as real ids are: it begins with 64 bits of a hash of its kind and number, and no two
kinds have the same order. A payment's own id begins with its week, as those of payproof do. An id ends with the number
itself, so that its reader knows the payment.

The simulated gateways keep no state. They compute payment n as every other module here does, so they are cheap and
answer every contender alike.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import md5
from typing import Final, Literal, get_args

import msgspec

from schemas.callbacks import Callback, Claim
from schemas.words import Authenticity, Said, Source

GATEWAYS: Final = ("shadhinpay", "moneybag", "ipay")
"""Payment n is paid through GATEWAYS[n % 3]: two that send signed webhooks, and iPay, whose buyers only return."""

Kind = Literal["payment", "reference", "session", "transaction", "event", "claim"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
HASHED, DIGITS = 16, 10
"""The number of characters of an id that are hash, and that are its number at the end."""


OLDEST: Final = 5_000_000_000
"""Completed payments are numbered from here, PER_WEEK a week; those that a benchmark opens stay below."""
PER_WEEK: Final = 302_400
NOW: Final = "zz"
"""The week in the ids of payments that a benchmark opens: after all other weeks."""
_SIGNS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def hashed(kind: Kind, n: int) -> str:
    """The random part of an id: HASHED characters of 0 to 9 and a to f, the first two of a payment its week.

    `hashed_sql` computes the same.
    """
    signs = md5(f"{kind}:{n}".encode(), usedforsecurity=False).hexdigest()
    return f"{_week(n)}{signs[: HASHED - 2]}" if kind == "payment" else signs[:HASHED]


def _week(n: int) -> str:
    week = (n - OLDEST) // PER_WEEK
    return NOW if week < 0 else _SIGNS[week // 36] + _SIGNS[week % 36]


def hashed_sql(kind: Kind, n: str = "n") -> str:
    """The same in SQL, for a bigint with the name `n`."""
    signs = f"md5('{kind}:' || {n}::bigint)"
    if kind != "payment":
        return f"left({signs}, {HASHED})"
    week = f"(({n}::bigint - {OLDEST}) / {PER_WEEK})::int"
    first, second = (f"substr('{_SIGNS}', 1 + {one}, 1)" for one in (f"{week} / 36", f"{week} % 36"))
    return (
        f"(CASE WHEN {n}::bigint < {OLDEST} THEN '{NOW}' ELSE {first} || {second} END || left({signs}, {HASHED - 2}))"
    )


def payment_id_sql(n: str = "n") -> str:
    return f"('pay_' || {hashed_sql('payment', n)} || {_digits_sql(n)})"


def reference_sql(n: str = "n") -> str:
    return f"('order-' || {hashed_sql('reference', n)} || {_digits_sql(n)})"


def session_id_sql(n: str = "n") -> str:
    return f"('ses-' || {hashed_sql('session', n)} || {_digits_sql(n)})"


def number_sql(name: str) -> str:
    """The bigint n of an id, in SQL."""
    return f"right({name}, {DIGITS})::bigint"


def _digits_sql(n: str) -> str:
    return f"lpad({n}::text, {DIGITS}, '0')"


def gateway_of(n: int) -> str:
    return GATEWAYS[n % len(GATEWAYS)]


def account_of(n: int) -> str:
    return f"shop-{gateway_of(n)}"


def payment_id(n: int) -> str:
    return f"pay_{_signs('payment', n)}"


def reference(n: int) -> str:
    return f"order-{_signs('reference', n)}"


def session_id(n: int) -> str:
    return f"ses-{_signs('session', n)}"


def transaction_id(n: int) -> str:
    return f"txn-{_signs('transaction', n)}"


def event_id(n: int) -> str:
    """The id of the gateway's webhook event."""
    return f"evt-{_signs('event', n)}"


def claim_id(n: int) -> str:
    """The claim's id, 32 characters as in payproof."""
    return f"{hashed('claim', n)}{n:016d}"


def amount(n: int) -> str:
    """The amount in BDT."""
    return f"{100 + n % 900}.00"


def number_in(name: str) -> int:
    """The number n in any of the ids above."""
    return int(name[-DIGITS:])


def _signs(kind: Kind, n: int) -> str:
    return f"{hashed(kind, n)}{n:0{DIGITS}d}"


def body(n: int) -> bytes:
    """The body of the gateway's webhook; empty where the buyer's browser comes instead."""
    match gateway_of(n):
        case "shadhinpay":
            payload = {"paymentId": session_id(n), "merchantTxnId": reference(n), "status": "COMPLETED"}
            return msgspec.json.encode({"eventId": event_id(n), "eventType": "payment.completed", "payload": payload})
        case "moneybag":
            data = {"transaction_id": transaction_id(n), "order_id": reference(n), "status": "SUCCESS"}
            return msgspec.json.encode({"event_id": event_id(n), "event_type": "payment.success", "data": data})
        case _:
            return b""


def claim(n: int, received_at: datetime) -> Claim:
    """The claim that payproof's ingress makes of the callback of payment n."""
    gateway = gateway_of(n)
    webhook = gateway != "ipay"
    source = Source.WEBHOOK if webhook else Source.RETURN
    named = None if webhook else payment_id(n)
    return Claim(
        id=claim_id(n),
        account=account_of(n),
        provider=gateway,
        source=source,
        authenticity=Authenticity.SIGNED if webhook else Authenticity.UNSIGNED,
        received_at=received_at,
        payment_id=named,
        said=Said.SUCCESS,
        session_id=session_id(n) if gateway == "shadhinpay" else None,
        reference=reference(n) if webhook else None,
        transaction_id=transaction_id(n) if gateway == "moneybag" else None,
        event_id=event_id(n) if webhook else None,
        event_type="payment.completed" if webhook else None,
        callback=Callback(
            source=source,
            account=account_of(n),
            method="POST" if webhook else "GET",
            query=() if webhook else (("orderId", session_id(n)),),
            headers=(("host", "shop.example"), ("user-agent", "gateway/1.0"), ("content-type", "application/json")),
            body=body(n),
            received_at=received_at,
            payment_id=named,
        ),
    )
