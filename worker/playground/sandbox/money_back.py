"""Returning money, by the shop through a gateway's API or by a person at the gateway.

A partial refund leaves the payment paid; only a full refund makes it refunded.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from schemas.numbers import money
from schemas.wire import Unreadable
from worker.playground.sandbox.announcing import announce_happening
from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Impossible, SimulatedGateway


def give_back(gateway: SimulatedGateway, session: Session, amount: str | None, *, webhook: bool = True) -> Decimal:
    """Refund the amount, or what is left of it, and announce it. Returns the refunded amount. Raises Impossible."""
    left = Decimal(session.told_amount) - Decimal(session.refunded)
    try:
        wanted = left if amount is None else money(amount)
    except Unreadable as error:
        raise Impossible(str(error)) from None
    if session.status != "paid":
        raise Impossible(f"only a paid session can be refunded; this one is {session.status}")
    if not 0 < wanted <= left:
        raise Impossible(f"at most {left} can be refunded")
    returned = replace(
        session, refunded=str(Decimal(session.refunded) + wanted), status="refunded" if wanted == left else "paid"
    )
    gateway.sessions.save(returned)
    if webhook:
        announce_happening(gateway, returned, "refunded")
    return wanted
