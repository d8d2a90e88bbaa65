"""What a story is: a gateway, what is done there, and the one end that is right.

The one thing to get wrong: an end is exact. What the shop was told is every event in its order, not just the last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from worker.demo.scene import Gateway, Scene

PAYPARSE = Gateway(name="PayParse", provider="payparse", account="shop-payparse")
BLIND = Gateway(name="PayParse, no status API", provider="payparse", account="shop-payparse-blind")
ONEPAYBD = Gateway(name="OnePayBD", provider="onepaybd", account="shop-onepaybd")
SHADHINPAY = Gateway(name="ShadhinPay", provider="shadhinpay", account="shop-shadhinpay", notifies=True)
MONEYBAG = Gateway(name="Moneybag", provider="moneybag", account="shop-moneybag", notifies=True)
IPAY = Gateway(name="iPay", provider="ipay", account="shop-ipay")
CHECKED = (PAYPARSE, ONEPAYBD, SHADHINPAY, MONEYBAG, IPAY)
EVERY = (PAYPARSE, BLIND, ONEPAYBD, SHADHINPAY, MONEYBAG, IPAY)


class End(Struct, frozen=True, kw_only=True):
    """How a story ends. `saw`: the pages the buyer came by; `told`: the events of the payment, in order.

    `questions`: how often at most the gateway was asked.
    """

    status: str
    hold: str | None = None
    told: tuple[str, ...]
    saw: tuple[str, ...] = ()
    late: bool = False
    questions: int | None = None


class Story(Struct, frozen=True):
    """`does` plays it; the payment that counts is the last one it opened."""

    name: str
    gateway: Gateway
    does: Callable[[Scene], Awaitable[None]]
    expects: End


def completed(*, saw: tuple[str, ...] = ("thanks (completed)",), questions: int | None = None) -> End:
    """Paid, proven, told once; the buyer saw the shop's thanks."""
    return End(status="completed", told=("opened", "completed"), saw=saw, questions=questions)


def held(hold: str, *, saw: tuple[str, ...] = ("thanks (held)",), questions: int | None = None) -> End:
    """Held before anything else was told; the buyer went back to the shop with that."""
    return End(status="pending", hold=hold, told=("opened", "held"), saw=saw, questions=questions)


def closed(status: str, *saw: str) -> End:
    """Ended without money."""
    return End(status=status, told=("opened", status), saw=saw)
