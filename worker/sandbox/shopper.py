"""What the buyer does at a gateway's page, for the page itself and for scripted shoppers.

The one thing to get wrong: a scripted shopper may pay after a session failed or expired, and pay twice, since gateways
have been seen to let that happen; the page lets nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from schemas.wire import Unreadable, money
from worker.sandbox.announcing import announce
from worker.sandbox.gateway import Deed, Gateway, Happening, Impossible
from worker.sandbox.sessions import Session

_ENDS: Mapping[Deed, Literal["failed", "cancelled"]] = MappingProxyType({"fail": "failed", "cancel": "cancelled"})


class Visit(Struct, frozen=True, kw_only=True):
    """What the buyer does; another amount, currency or transaction id than the gateway's own for tests of misfits."""

    does: Deed
    amount: str | None = None
    currency: str | None = None
    transaction_id: str | None = None
    webhook: bool = True


def perform(gateway: Gateway, session: Session, visit: Visit) -> tuple[Session, str | None]:
    """Do it. Returns the session and where the browser goes, None if it goes nowhere. Raises Impossible."""
    does = gateway.swayed(session, visit.does)
    happening: Happening
    match does:
        case "walk_away":
            return gateway.walk_away(session), None
        case "pay":
            if session.status == "refunded":
                raise Impossible("the session is refunded")
            session = gateway.pay(_tampered(session, visit), transaction_id=visit.transaction_id)
            happening = "paid"
        case "fail" | "cancel":
            if session.paid:
                raise Impossible("the session is paid")
            happening = _ENDS[does]
            session = gateway.end(session, _ENDS[does])
    if visit.webhook and session.status == happening:
        announce(gateway, session, happening)
    return session, gateway.redirect(session, does)


def _tampered(session: Session, visit: Visit) -> Session:
    try:
        amount = None if visit.amount is None else str(money(visit.amount))
    except Unreadable as error:
        raise Impossible(str(error)) from None
    return replace(
        session,
        paid_amount=amount or session.paid_amount,
        paid_currency=visit.currency or session.paid_currency,
    )
