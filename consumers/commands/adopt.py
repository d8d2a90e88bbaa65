"""Adopt money that came before its order: an `unexpected` payment becomes the payment that the shop requests.

No checkout is opened, or the buyer could pay twice: the money is at the gateway already. Its Facts are folded again,
now against the amount, the session and the order of the request.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from consumers.apply_change import PendingChange, apply_changes
from consumers.checks.candidates import with_issued_session
from consumers.ports.ledger import Ledger
from consumers.ports.writes import Keys
from consumers.rules import Rules
from schemas.changes import Entry
from schemas.payments import Payment
from schemas.words import EntryKind, Hold


class NotAdopted(Struct, frozen=True, kw_only=True):
    """The payment was not adopted. `code` is reference_used, with the payment that has it, or session_used."""

    code: Literal["reference_used", "session_used"]
    message: str
    payment_id: str | None = None


async def adopt(
    ledger: Ledger, rules: Rules, found_id: str, wanted: Payment, request: dict[str, Any]
) -> Payment | NotAdopted:
    """Give an `unexpected` payment the terms of `wanted`, once. Returns the adopted payment, or why it was not adopted.

    The result is `reference_used` where the payment was adopted or resolved before, or another payment has the
    reference. It is the same where money of another amount came and went back, all or in part: a person has to resolve
    that. `request` is the shop's request, as stored.
    """
    async with ledger.batch([found_id]) as batch:
        case = batch.cases.get(found_id)
        if case is None or Hold.UNEXPECTED not in case.payment.holds:
            return _used(found_id)
        found = case.payment
        if found.refunded_amount and found.amount != wanted.amount:
            paid = f"{found.amount:.2f} came under this reference, and {found.refunded_amount:.2f} of it went back"
            return _used(found_id, f"{paid}; a person must resolve it")
        payment = _announced(found, wanted, batch.now)
        payment = with_issued_session(payment, rules.capabilities(payment), batch.now)
        other = await batch.adopt_row(payment, request, proposed=wanted.id)
        if other is not None:
            return _used(other)
        if wanted.session_id is not None:
            mine = Keys.of(found, sessions=[wanted.session_id])
            if (await batch.reserve([mine]))[found_id].sessions:
                return NotAdopted(code="session_used", message="another payment has this session_id")
        await batch.queue_early_claims(payment, signed_only=False)
        change = {"change": f"the shop announced it: {_words(payment)}"}
        pending = PendingChange(
            case=replace(case, payment=payment),
            entries=[Entry(kind=EntryKind.DECISION, at=batch.now, data=change)],
            facts=[],
        )
        (adopted,) = await apply_changes(batch, rules, [pending])
        await batch.commit()
        return adopted.payment


def _used(payment_id: str, message: str = "a payment with this reference exists") -> NotAdopted:
    return NotAdopted(code="reference_used", message=message, payment_id=payment_id)


def _announced(found: Payment, wanted: Payment, now: datetime) -> Payment:
    """The found payment with the shop's terms. Whether its amount matches is decided again by the fold.

    Without a known session it stays unopened, so that an answer with its reference and any session still fits.
    """
    return replace(
        found,
        reference=wanted.reference,
        order_ref=wanted.order_ref,
        amount=wanted.amount,
        currency=wanted.currency,
        description=wanted.description,
        metadata=wanted.metadata,
        return_url=wanted.return_url,
        failure_url=wanted.failure_url,
        cancel_url=wanted.cancel_url,
        amount_verified=False,
        opened=found.opened or wanted.session_id is not None,
        session_id=wanted.session_id or found.session_id,
        opened_at=wanted.opened_at,
        expires_at=wanted.expires_at,
        adopted_at=now,
    )


def _words(payment: Payment) -> str:
    order = f", order {payment.order_ref}" if payment.order_ref else ""
    return f"{payment.amount:.2f} {payment.currency}, reference {payment.reference}{order}"
