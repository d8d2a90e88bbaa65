"""The buyer's actions at a gateway's page, for the page itself and for scripted shoppers.

A scripted shopper may pay after a session failed or expired, and pay twice, since gateways have been seen to allow
that. The page does not, unless `may_pay_late`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import asdict, replace

from schemas.numbers import money
from schemas.wire import Unreadable
from worker.playground.sandbox import troubled_course
from worker.playground.sandbox.announcing import announce_happening
from worker.playground.sandbox.sandbox import Sandbox
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Deed, Happening, Impossible, SimulatedGateway, WayBack

_BRINGS: Mapping[Deed, Happening] = MappingProxyType({"pay": "paid", "fail": "failed", "cancel": "cancelled"})


class Visit(Struct, frozen=True, kw_only=True):
    """The buyer's action.

    Another amount, currency or transaction id than the gateway's own tests mismatches.
    """

    does: Deed
    amount: str | None = None
    currency: str | None = None
    transaction_id: str | None = None
    webhook: bool = True


def perform(sandbox: Sandbox, session: Session, visit: Visit) -> tuple[Session, WayBack | None]:
    """Do the buyer's action, and meet the troubles that are set for this order. Raises Impossible.

    Returns the session, and where the browser goes: None if it goes nowhere.
    """
    gateway = sandbox.gateways[session.provider]
    does = gateway.swayed(session, visit.does)
    if does == "walk_away":
        return gateway.walk_away(session), None
    if does == "pay" and session.status == "refunded":
        raise Impossible("the session is refunded")
    if does != "pay" and session.paid:
        raise Impossible("the session is paid")

    met = sandbox.troubles.meet(session, does)
    if "callback_forged" in met:
        return troubled_course.forged(gateway, session)
    if "callback_of_another" in met:
        return session, troubled_course.of_another(gateway, session)

    if "paid_at_risk" in met:
        session = replace(session, notes={**session.notes, "risk": "1"})
    failed_try = gateway.end(session, "failed") if "callback_reordered" in met else None
    session = _tampered(session, troubled_course.altered(visit.amount, visit.currency, met))
    session = gateway.review(session) if "paid_after_review" in met else _done(gateway, session, does, visit)
    back = gateway.way_back(session, does)
    happening = _BRINGS[does]
    telling = troubled_course.telling(met) if visit.webhook and "callback_lost" not in met else None
    if session.status == "approved":  # the money comes later, and is told then
        notes = {**session.notes, "telling": telling and asdict(telling)}
        session = gateway.sessions.save(replace(session, notes=notes))
    elif telling is not None and session.status == happening:
        announce_happening(gateway, session, happening, telling)
    if failed_try is not None:
        troubled_course.tell_of_earlier(
            gateway, failed_try, back, after=met["callback_reordered"], webhook=visit.webhook
        )
    troubled_course.follow(sandbox, session, back, met)
    return session, back if troubled_course.redirects(met) else None


def may_pay_late(sandbox: Sandbox, session: Session) -> bool:
    """Whether the page of a checkout that is over still lets the buyer pay."""
    about = sandbox.troubles.about(session.provider, session.reference)
    return session.status == "expired" and any(trouble.trouble == "paid_after_expiry" for trouble in about)


def _done(gateway: SimulatedGateway, session: Session, does: Deed, visit: Visit) -> Session:
    if does == "pay":
        return gateway.pay(session, transaction_id=visit.transaction_id)
    return gateway.end(session, "failed" if does == "fail" else "cancelled")


def _tampered(session: Session, paid: tuple[str | None, str | None]) -> Session:
    amount, currency = paid
    try:
        amount = None if amount is None else str(money(amount))
    except Unreadable as error:
        raise Impossible(str(error)) from None
    return replace(
        session,
        paid_amount=amount or session.paid_amount,
        paid_currency=currency or session.paid_currency,
    )
