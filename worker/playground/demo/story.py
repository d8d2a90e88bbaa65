"""The parts of a story: a gateway, what goes wrong there, what is done, and the one end that is right.

An end is exact. It follows from the rules of money, never from an observed result, and lists every event that the shop
gets, in order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from worker.playground.demo.scene import Scene
from worker.playground.demo.stage import Gateway
from worker.playground.sandbox.scripts import BY_NAME

PAYPARSE = Gateway(name="PayParse", provider="payparse", account="shop-payparse")
BLIND = Gateway(name="PayParse, no status API", provider="payparse", account="shop-payparse-blind")
ONEPAYBD = Gateway(name="OnePayBD", provider="onepaybd", account="shop-onepaybd")
SHADHINPAY = Gateway(name="ShadhinPay", provider="shadhinpay", account="shop-shadhinpay", notifies=True)
MONEYBAG = Gateway(name="Moneybag", provider="moneybag", account="shop-moneybag", notifies=True)
IPAY = Gateway(name="iPay", provider="ipay", account="shop-ipay")
SSLCOMMERZ = Gateway(name="SSLCOMMERZ", provider="sslcommerz", account="shop-sslcommerz", notifies=True, posts=True)
BKASH = Gateway(name="bKash", provider="bkash", account="shop-bkash")
SHURJOPAY = Gateway(name="ShurjoPay", provider="shurjopay", account="shop-shurjopay", notifies=True)
AAMARPAY = Gateway(name="aamarPay", provider="aamarpay", account="shop-aamarpay", notifies=True, posts=True)
EPS = Gateway(name="EPS", provider="eps", account="shop-eps")
UDDOKTAPAY = Gateway(name="UddoktaPay", provider="uddoktapay", account="shop-uddoktapay", notifies=True)
CHECKED = (PAYPARSE, ONEPAYBD, SHADHINPAY, MONEYBAG, IPAY)
"""The gateways of the first release, where they can be asked."""

EVERY = (PAYPARSE, BLIND, ONEPAYBD, SHADHINPAY, MONEYBAG, IPAY)
"""All gateways of the first release; those of `NEWER` are apart."""

NEWER = (SSLCOMMERZ, BKASH, SHURJOPAY, AAMARPAY, EPS, UDDOKTAPAY)
"""Their stories stand in `newer.py`: at most of them an unpaid payment ends `unresolved`, for a person to look at."""

TELLS_THE_END = (SSLCOMMERZ, BKASH, SHURJOPAY, EPS)
"""Those of the newer that tell a failed or cancelled attempt."""

THANKS = ("thanks (completed)",)


class End(Struct, frozen=True, kw_only=True):
    """How a story ends.

    `saw`: the pages that the buyer visited; `told`: the events of the payment, in order. `questions`: how often at most
    the gateway was asked, `least_questions` how often at least, answered or not.
    """

    status: str
    hold: str | None = None
    told: tuple[str, ...]
    saw: tuple[str, ...] = ()
    late: bool = False
    questions: int | None = None
    least_questions: int = 0


Does = Callable[[Scene], Awaitable[None]]


class Story(Struct, frozen=True):
    """`does` plays it; the payment that counts is the last that it opened.

    `script` is the sandbox's script that runs meanwhile, `seconds` how long it takes where not as long as usual.
    `lasts` is about how many seconds go by: the longest are played first.
    """

    name: str
    gateway: Gateway
    does: Does
    expects: End
    script: str | None = None
    seconds: float | None = None
    lasts: float = 0.0


def scripted(
    script: str,
    gateway: Gateway,
    does: Does,
    expects: End,
    *,
    but: str | None = None,
    seconds: float | None = None,
    lasts: float = 0.0,
) -> Story:
    """A story of one script, with its title; `but` names the difference where a gateway has several stories of it."""
    known = BY_NAME[script]
    name = known.title if but is None else f"{known.title}, {but}"
    return Story(name, gateway, does, expects, script, seconds, lasts or seconds or known.seconds or 0.0)


def completed(*, saw: tuple[str, ...] = THANKS, questions: int | None = None) -> End:
    """Paid, verified, and reported once; the buyer saw the shop's thanks."""
    return End(status="completed", told=("opened", "completed"), saw=saw, questions=questions)


def held(hold: str, *, saw: tuple[str, ...] = ("thanks (held)",), questions: int | None = None) -> End:
    """Held as its first change after the opening; the buyer went back to the shop with that."""
    return End(status="pending", hold=hold, told=("opened", "held"), saw=saw, questions=questions)


def closed(status: str, *saw: str) -> End:
    """Ended without money."""
    return End(status=status, told=("opened", status), saw=saw)
