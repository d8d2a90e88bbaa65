"""The parts of a checkout page: steps with fields, entries that mean something, and how a page shows its order.

`lead`, `brand` and `style` are HTML and CSS that are not escaped again. A text of a request must be escaped by the code
that puts it there. `View` gives its texts escaped; only `raw` gives one as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from html import escape
from typing import Literal

from msgspec import Struct

from worker.playground.sandbox.sessions import Session
from worker.playground.sandbox.simulated_gateway import Deed


class CheckoutField(Struct, frozen=True, kw_only=True):
    """One entry, filled in beforehand with `given`, so that pressing on works at once. Any entry is accepted."""

    name: str
    label: str
    given: str | Callable[[Session], str]
    hint: str = ""
    secret: bool = False
    digits: bool = True
    narrow: bool = False

    def filled(self, session: Session) -> str:
        return self.given if isinstance(self.given, str) else self.given(session)


class View(Struct, frozen=True, kw_only=True):
    """One showing of one checkout.

    `entered` is what the buyer typed so far, `scripted` what is set to go wrong; `left` is in seconds.
    """

    session: Session
    address: str
    left: float
    stay: bool = False
    entered: Mapping[str, str]
    scripted: tuple[str, ...] = ()
    refused: str = ""

    def to(self, step: str = "") -> str:
        """The address of a step or deed of this checkout."""
        return escape(f"{self.address}{'/' if step else ''}{step}{'?stay' if self.stay else ''}")

    @property
    def amount(self) -> str:
        return escape(shown_money(self.session.amount, self.session.currency))

    @property
    def reference(self) -> str:
        return escape(self.session.reference)

    def raw(self, field: CheckoutField) -> str:
        """The field's text as it is. It must be escaped before it is shown."""
        return self.entered.get(field.name) or field.filled(self.session)

    def typed(self, field: CheckoutField) -> str:
        return escape(self.raw(field))


def _nothing(view: View) -> str:
    del view
    return ""


class Step(Struct, frozen=True, kw_only=True):
    """One page on the way. Without a `button` its `lead` holds the links that lead on; `to` is a step or `pay`."""

    name: str
    title: str
    stage: str = ""
    above: Callable[[View], str] = _nothing
    lead: Callable[[View], str] = _nothing
    fields: tuple[CheckoutField, ...] = ()
    button: str = ""
    to: str = "pay"


class Special(Struct, frozen=True, kw_only=True):
    """An entry with a meaning. `again` asks once more and leaves the checkout open; the other fields are its effect."""

    field: str
    value: str
    does: Deed | Literal["again"]
    says: str

    def fits(self, entered: Mapping[str, str]) -> bool:
        return entered.get(self.field, "").replace(" ", "").upper() == self.value


def _first(session: Session) -> str:
    del session
    return ""


class CheckoutLook(Struct, frozen=True, kw_only=True):
    """One gateway's checkout.

    `begins` names the first step where it is not the first in the list; `about` is where the order's description stands
    in the request; `transaction_field` is an entry that becomes the transaction's id; `cancel_first` puts Cancel before
    the step's own button, for eyes and Tab alike.
    """

    title: str
    brand: str
    style: str
    steps: tuple[Step, ...]
    specials: tuple[Special, ...]
    foot: str
    begins: Callable[[Session], str] = _first
    about: str = ""
    transaction_field: str = ""
    cancel_first: bool = False

    def step(self, name: str) -> Step | None:
        return next((step for step in self.steps if step.name == name), None)

    def first(self, session: Session) -> Step:
        return self.step(self.begins(session)) or self.steps[0]

    def fields(self) -> tuple[CheckoutField, ...]:
        return tuple(field for step in self.steps for field in step.fields)


def shown_money(amount: str, currency: str) -> str:
    """`৳1,50,000.00`: grouped as in Bangladesh, by thousand, lakh and crore."""
    whole, _, part = f"{Decimal(amount):.2f}".partition(".")
    head, tail = whole[:-3], whole[-3:]
    groups = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)]
    return f"{'৳' if currency == 'BDT' else currency + ' '}{','.join([*reversed(groups), tail])}.{part}"
