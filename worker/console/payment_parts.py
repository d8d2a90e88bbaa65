"""Parts of pages about payments: links to a payment and to other pages, its status in words, and rows of payments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode

import htpy as h

from schemas.payments import Payment
from schemas.words import Status
from worker.console.elements import Cells, Column, amount_of, moment, table
from worker.console.told_sentences import told
from worker.console.visit import Guest, Visit
from worker.console.wording import WORDING

_TONES = {
    Status.COMPLETED: "good",
    Status.PENDING: "wait",
    Status.REFUNDED: "quiet",
    Status.FAILED: "stop",
    Status.CANCELLED: "quiet",
    Status.EXPIRED: "quiet",
}
PAYMENT_COLUMNS = (
    Column("payments.reference"),
    Column("payments.opened"),
    Column("payments.account"),
    Column("payments.status"),
    Column("payments.differs"),
    Column("payments.amount", number=True),
)


def payment_link(payment_id: str, words: str | None = None) -> h.Element:
    """A link to the payment's page, by its id unless there are other words."""
    return h.a(".id", href=f"/payments/{quote(payment_id)}")[words or payment_id]


def page_of(visit: Visit, section: str, name: str) -> str | None:
    """The address of the page about `name` in a section such as `/endpoints`; None where this operator has none."""
    for path, roles in visit.context.menu.items():
        if re.fullmatch(rf"{re.escape(section)}/\{{\w+\}}", path) and visit.operator.role in roles:
            return f"{section}/{quote(name, safe='')}"
    return section if visit.operator.role in visit.context.menu.get(section, ()) else None


def delivery_page_of(visit: Visit, endpoint: str, event_id: str) -> str | None:
    """The address of the page about an event on its way to an endpoint; None where this operator has none."""
    for path, roles in visit.context.menu.items():
        if re.fullmatch(r"/endpoints/\{\w+\}/deliveries/\{\w+\}", path) and visit.operator.role in roles:
            return f"/endpoints/{quote(endpoint, safe='')}/deliveries/{quote(event_id, safe='')}"
    return None


def linked(address: str | None, words: str) -> h.Node:
    """The words as a link, or as they are where there is no page to go to."""
    return words if address is None else h.a(href=address)[words]


def status_words(visit: Guest, payment: Payment) -> h.Node:
    """The status, and the reason beside it where the payment is held."""
    status = h.span(class_=f"badge {_TONES[payment.status]}")[visit.say(f"status.{payment.status}")]
    if payment.hold is None:
        return status
    return h.fragment[status, " ", h.span(".badge.hand")[visit.say(f"hold.{payment.hold}")]]


def payment_rows(
    visit: Visit, caption: str, payments: Iterable[Payment], differences: Mapping[str, str], *, empty: str
) -> h.Renderable:
    """A table of payments. `differences`: by payment id, what differs, in words."""

    def cells(payment: Payment) -> Cells:
        differs = differences.get(payment.id, "")
        return (
            payment_link(payment.id, payment.reference),
            moment(visit, payment.opened_at),
            payment.account,
            status_words(visit, payment),
            told(visit, differs) if differs else "",
            amount_of(visit, payment.amount, payment.currency),
        )

    return table(visit, caption, PAYMENT_COLUMNS, map(cells, payments), empty=empty)


def act_words(visit: Guest, action: str) -> str:
    """An action of the audit trail in words; its own name where there are none."""
    return visit.say(f"act.{action}") if f"act.{action}" in WORDING else action


def address_with(path: str, query: Mapping[str, str]) -> str:
    """The path with these parameters; empty ones are left out."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path
