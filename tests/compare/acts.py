"""The acts of buyers, gateways, the shop and strangers, drawn from one seed: the same list for every program.

An act is drawn before anything happened, so it may be impossible by then. Its refusal is part of the comparison.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, get_args

from msgspec import Struct

from tests.harness import EVERY, MONEYBAG, ONEPAYBD, SHADHINPAY, Gateway

Does = Literal[
    "opens",
    "opens elsewhere",
    "registers",
    "troubles",
    "acts",
    "returns",
    "says",
    "names",
    "notifies",
    "ends there",
    "refunds",
    "ends here",
    "gives up",
    "is due",
    "verifies",
    "resolves",
]
"""`acts` is the buyer at the gateway's page, who `returns` to where that sent the browser.

`says` visits an address of the payment's own that no page sent the browser to, and `names` an address of the account,
with ids. `ends there` is the checkout's end by the gateway's books, `ends here` by ours.
"""

ALL: Final[Sequence[Does]] = get_args(Does)
SIDE_BY_SIDE = 4
"""So many payments are in progress at a time; their acts come one after the other, mixed."""

FEWEST, MOST = 2, 9
SILENT = ("500", "503", "html", "401", "429", "reset", "lost_answer", "html_404", "text_404", "not_found")
FALSIFIED = frozenset({"amount", "currency", "transaction_of"})
FALSE = ("unknown_word", "contradiction", "still_pending", "wrong_identity", "wrong_currency", "wrong_amount")


class Act(Struct, frozen=True, kw_only=True):
    """One act about payment number `n`; `how` is its details, and may name an earlier payment."""

    n: int
    gateway: Gateway
    does: Does
    how: Mapping[str, Any] = {}

    def __str__(self) -> str:
        how = ", ".join(f"{name} {value}" for name, value in self.how.items())
        return f"{reference(self.n)} at {self.gateway.account} {self.does}" + (f": {how}" if how else "")


def reference(n: int) -> str:
    return f"order-{n:05d}"


def drawn(seed: int, payments: int) -> list[Act]:
    """All acts about payments 1 to `payments`, in the order in which they are done."""
    rng = random.Random(seed)
    acts: list[Act] = []
    lives: list[list[Act]] = []
    n = 0
    while lives or n < payments:
        while len(lives) < SIDE_BY_SIDE and n < payments:
            n += 1
            lives.append(_life(n, random.Random(f"{seed}/{n // 2}"), rng))
        life = rng.choice(lives)
        acts.append(life.pop(0))
        lives = [one for one in lives if one]
    return acts


def _life(n: int, shared: random.Random, rng: random.Random) -> list[Act]:
    """The acts of two neighbours, who usually share a cart and a gateway: so an order is paid twice.

    Where Execute takes the money and they share a cart, each payment is paid normally and nothing is lost. Otherwise
    the clock would look at payments that wait for another payment's doubt or hold to end, and a list of acts must not
    depend on the clock.
    """
    home, together = shared.choice(EVERY), shared.random() < 0.6
    gateway = home if rng.random() < 0.7 else rng.choice(EVERY)
    life = [_act(n, gateway, rng) for _ in range(rng.randint(FEWEST, MOST))]
    if rng.random() < 0.6:
        comes: tuple[Does, ...] = ("returns", "returns", "verifies", "is due")
        paid = Act(n=n, gateway=gateway, does="acts", how=_at_the_page(n, gateway, rng))
        life = [paid, Act(n=n, gateway=gateway, does=rng.choice(comes)), *life]
    if together and gateway is ONEPAYBD:
        life = [act for act in life if not _goes_wrong(act)]
    opening = Act(n=n, gateway=gateway, does="opens", how={"order": f"cart-{n // 2}" if together else None})
    if gateway in (MONEYBAG, SHADHINPAY) and rng.random() < 0.2:
        life.insert(rng.randint(0, len(life)), Act(n=n, gateway=gateway, does="registers"))
        return [Act(n=n, gateway=gateway, does="opens elsewhere"), *life]
    if rng.random() < 0.15:
        trouble = {"trouble": rng.choice(("lost_answer", "reset", "500")), "on": "create", "times": 1}
        return [Act(n=n, gateway=gateway, does="troubles", how=trouble), *[opening] * rng.choice((1, 2, 2)), *life]
    return [opening, *life]


def _goes_wrong(act: Act) -> bool:
    return act.does == "troubles" or (act.does == "acts" and not FALSIFIED.isdisjoint(act.how))


def _act(n: int, gateway: Gateway, rng: random.Random) -> Act:
    does, draws = rng.choices([(does, draws) for does, _, draws in _ACTS], [often for _, often, _ in _ACTS])[0]
    return Act(n=n, gateway=gateway, does=does, how=draws(n, gateway, rng))


def _troubles(_: int, gateway: Gateway, rng: random.Random) -> Mapping[str, Any]:
    on = rng.choice(("status", "execute", "any")) if gateway is ONEPAYBD else "status"
    return {"trouble": rng.choice((*SILENT, *FALSE, *FALSE)), "on": on, "times": rng.randint(1, 2)}


def _at_the_page(n: int, gateway: Gateway, rng: random.Random) -> Mapping[str, Any]:
    how: dict[str, Any] = {"does": rng.choices(("pay", "fail", "cancel", "walk_away"), (9, 1, 1, 1))[0]}
    how["webhook"] = rng.random() < 0.6
    if how["does"] == "pay":
        if (false := rng.random()) < 0.1:
            how["amount"] = rng.choice(("1.00", "99999.00", "0.01"))
        elif false < 0.15:
            how["currency"] = "USD"
        elif false < 0.25:
            how["transaction_of"] = _another(n, rng)
    return how


def _says(_: int, __: Gateway, rng: random.Random) -> Mapping[str, Any]:
    return {"said": rng.choice(("success", "success", "failure", "cancel", None)), "times": rng.choice((1, 1, 2))}


def _names(n: int, _: Gateway, rng: random.Random) -> Mapping[str, Any]:
    by = rng.choice(("reference", "session", "transaction", "unknown transaction", "another's transaction"))
    return {"by": by, "another": _another(n, rng), "said": rng.choice(("SUCCESS", "FAILED")), "ipn": rng.random() < 0.3}


def _notifies(n: int, _: Gateway, rng: random.Random) -> Mapping[str, Any]:
    kinds: Sequence[Mapping[str, Any]] = (
        {},
        {"times": rng.randint(2, 4)},
        {"forged": True},
        {"stale": True},
        {"ipn": True},
        {"of_reference": reference(_another(n, rng))},
        {"event": rng.choice(("paid", "failed", "cancelled", "refunded"))},
    )
    return rng.choice(kinds)


def _refunds(_: int, __: Gateway, rng: random.Random) -> Mapping[str, Any]:
    return {"amount": rng.choice((None, "10.00", "1.00")), "webhook": rng.random() < 0.6}


def _resolves(_: int, __: Gateway, rng: random.Random) -> Mapping[str, Any]:
    return {"status": rng.choice(("completed", "completed", "failed", "cancelled", "expired", "refunded", "pending"))}


def _plainly(_: int, __: Gateway, ___: random.Random) -> Mapping[str, Any]:
    return {}


def _another(n: int, rng: random.Random) -> int:
    return max(1, n - rng.randint(1, 2))


_ACTS: Final[Sequence[tuple[Does, float, Callable[[int, Gateway, random.Random], Mapping[str, Any]]]]] = (
    ("acts", 5, _at_the_page),
    ("returns", 4, _plainly),
    ("says", 2, _says),
    ("names", 1.5, _names),
    ("notifies", 2, _notifies),
    ("troubles", 2.5, _troubles),
    ("is due", 2, _plainly),
    ("verifies", 1.5, _plainly),
    ("ends there", 0.5, _plainly),
    ("ends here", 1, _plainly),
    ("gives up", 0.4, _plainly),
    ("refunds", 1, _refunds),
    ("resolves", 0.8, _resolves),
)
