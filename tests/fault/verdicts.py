"""The right end of payments by the gateways' own books alone, and what is wrong with those that ended otherwise.

There is no leniency. A payment that the gateway calls paid is completed, or it is lost. A hold is right only where the
books say so. A payment that still waits when everything is over is reported as waiting in silence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from msgspec import Struct, field

from tests.fault.shoppers import Customer
from tests.harness import BLIND, Document

End = tuple[str, str | None]
Kind = Literal["lost", "doubled", "wrong", "silent", "held"]
DUPLICATE: End = ("completed", "duplicate_for_order")


class Verdicts(Struct):
    """The payments that did not end as they should, by what is wrong with them."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)

    def add(self, kind: Kind, said: str) -> None:
        getattr(self, kind).append(said)

    @property
    def all(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.wrong, *self.silent, *self.held]


class Seen(Struct, frozen=True):
    """A payment as payproof reports it, beside the gateway's books."""

    customer: Customer
    payment: Document
    session: Document

    @property
    def end(self) -> End:
        return self.payment["status"], self.payment["hold"]

    @property
    def final(self) -> bool:
        """Whether the gateway's books are final: an approved payment that is not taken yet is open there."""
        return self.session["status"] not in ("open", "approved")

    def right(self, *, alone: bool) -> bool:
        if not self.final or self.end not in self._ends(alone=alone):
            return False
        shows_refunds = self.customer.gateway.notifies  # only gateways that send webhooks refund here
        return not shows_refunds or Decimal(self.payment["refunded_amount"]) == Decimal(self.session["refunded"])

    def wrong_as(self) -> Kind:
        status, hold = self.end
        if hold is not None:
            return "held"
        if self.session["status"] == "approved":
            return "lost"  # the buyer approved it, and its money was never taken
        if status == "pending":
            return "silent"
        paid = self.session["status"] in ("paid", "refunded")
        return "lost" if paid and status not in ("completed", "refunded") else "wrong"

    def _ends(self, *, alone: bool) -> tuple[End, ...]:
        """The right ends. `alone`: no other attempt of the order was paid."""
        if self.customer.gateway is BLIND:
            return (("pending", "unverifiable"),) if self.customer.returned_paid else (("expired", None),)
        if self.session["status"] == "paid":
            return (("completed", None),) if alone else (("completed", None), DUPLICATE)
        return ((self.session["status"], None),)


def rightly_ended(attempts: Sequence[Seen]) -> bool:
    """Whether all attempts of one order ended rightly, and one of the paid attempts counts."""
    paid = [one for one in attempts if one.session["status"] == "paid" and one.customer.gateway is not BLIND]
    if not all(one.right(alone=len(paid) < 2) for one in attempts):
        return False
    return not paid or sum(one.end == ("completed", None) for one in paid) == 1


def what_is_wrong(attempts: Sequence[Seen]) -> list[tuple[Kind, Customer]]:
    """What is wrong with the attempts of one order that did not end rightly."""
    paid = [one for one in attempts if one.session["status"] == "paid" and one.customer.gateway is not BLIND]
    wrong = [(one.wrong_as(), one.customer) for one in attempts if not one.right(alone=len(paid) < 2)]
    counting = [one.customer for one in paid if one.end == ("completed", None)]
    if paid and not wrong and not counting:
        wrong.append(("lost", paid[0].customer))
    return [*wrong, *(("doubled", one) for one in counting[1:])]


def by_order(customers: Sequence[Customer]) -> list[list[Customer]]:
    """The attempts of one order together; a payment without an order by itself."""
    orders = defaultdict[str, list[Customer]](list)
    for one in customers:
        orders[str(one.payment.get("order") or one.payment_id)].append(one)
    return list(orders.values())
